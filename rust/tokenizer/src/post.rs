//! Post-processors: what goes around the tokens of a text or a pair.

use crate::bytes::char_of;
use crate::encoding::Encoding;
use crate::error::{quote, Error};
use crate::json::Node;
use crate::model::vocab::Vocab;
use crate::unicode::{Classes, IS_SPACE};

/// A token by its text and id.
#[derive(Clone)]
struct Named {
    token: String,
    id: u32,
}

/// A piece of a template.
enum Piece {
    /// The first (0) or second (1) text.
    Text {
        number: usize,
        type_id: u32,
    },
    Special {
        tokens: Vec<Named>,
        type_id: u32,
    },
}

/// How offsets shrink to what is no white space.
#[derive(Clone, Copy)]
struct Trim {
    add_prefix_space: bool,
}

enum Step {
    ByteLevel(Option<Trim>),
    Template {
        single: Vec<Piece>,
        pair: Vec<Piece>,
    },
    Bert {
        cls: Named,
        sep: Named,
    },
    Roberta {
        cls: Named,
        sep: Named,
        trim: Option<Trim>,
    },
}

/// The post-processor of a file.
#[derive(Default)]
pub(crate) struct PostProcessor {
    steps: Vec<Step>,
    given: bool,
}

impl PostProcessor {
    pub(crate) fn from_json(node: &Node<'_>, vocab: &Vocab) -> Result<Self, Error> {
        let mut this = Self {
            steps: Vec::new(),
            given: !node.is_null(),
        };
        this.add(node, vocab)?;
        Ok(this)
    }

    fn add(&mut self, node: &Node<'_>, vocab: &Vocab) -> Result<(), Error> {
        if node.is_null() {
            return Ok(());
        }
        let trim = |node: &Node<'_>| -> Result<Option<Trim>, Error> {
            let add_prefix_space = node.get("add_prefix_space")?.bool()?;
            Ok(node
                .get("trim_offsets")?
                .bool()?
                .then_some(Trim { add_prefix_space }))
        };
        let kind = node.get("type")?;
        let step = match kind.string()? {
            "ByteLevel" => {
                node.only_typed(&["add_prefix_space", "trim_offsets", "use_regex"])?;
                Step::ByteLevel(trim(node)?)
            }
            "Sequence" => {
                node.only_typed(&["processors"])?;
                for item in node.get("processors")?.items()? {
                    self.add(&item, vocab)?;
                }
                return Ok(());
            }
            "TemplateProcessing" => {
                node.only_typed(&["single", "pair", "special_tokens"])?;
                let special = node.get("special_tokens")?;
                Step::Template {
                    single: pieces(&node.get("single")?, &special, vocab, 1)?,
                    pair: pieces(&node.get("pair")?, &special, vocab, 2)?,
                }
            }
            "BertProcessing" => {
                node.only_typed(&["sep", "cls"])?;
                Step::Bert {
                    cls: named(&node.get("cls")?, vocab)?,
                    sep: named(&node.get("sep")?, vocab)?,
                }
            }
            "RobertaProcessing" => {
                node.only_typed(&["sep", "cls", "trim_offsets", "add_prefix_space"])?;
                Step::Roberta {
                    cls: named(&node.get("cls")?, vocab)?,
                    sep: named(&node.get("sep")?, vocab)?,
                    trim: trim(node)?,
                }
            }
            other => {
                let problem = format!("post-processor {} is not supported", quote(other));
                return Err(kind.error(problem));
            }
        };
        // Two would nest, or meet more parts than they know of.
        let adds = |step: &Step| !matches!(step, Step::ByteLevel(_));
        if adds(&step) && self.steps.iter().any(adds) {
            return Err(node.error("a second processor that adds tokens is not supported"));
        }
        self.steps.push(step);
        Ok(())
    }

    /// How many tokens are added.
    pub(crate) fn added(&self, is_pair: bool) -> usize {
        self.steps
            .iter()
            .map(|step| match step {
                Step::ByteLevel(_) => 0,
                Step::Bert { .. } => 2 + usize::from(is_pair),
                Step::Roberta { .. } => 2 + 2 * usize::from(is_pair),
                Step::Template { single, pair } => (if is_pair { pair } else { single })
                    .iter()
                    .map(|piece| match piece {
                        Piece::Text { .. } => 0,
                        Piece::Special { tokens, .. } => tokens.len(),
                    })
                    .sum(),
            })
            .sum()
    }

    /// The ids before and after those of a single text, if it appears just once.
    pub(crate) fn around(&self) -> Option<(Vec<u32>, Vec<u32>)> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for step in &self.steps {
            match step {
                Step::ByteLevel(_) => {}
                Step::Bert { cls, sep } | Step::Roberta { cls, sep, .. } => {
                    before.push(cls.id);
                    after.push(sep.id);
                }
                Step::Template { single, .. } => {
                    let mut texts = 0;
                    for piece in single {
                        match piece {
                            Piece::Text { .. } => texts += 1,
                            Piece::Special { tokens, .. } => {
                                let part = if texts == 0 { &mut before } else { &mut after };
                                part.extend(tokens.iter().map(|named| named.id));
                            }
                        }
                    }
                    if texts != 1 {
                        return None;
                    }
                }
            }
        }
        Some((before, after))
    }

    /// Joins the parts.
    pub(crate) fn process(
        &self,
        first: Encoding,
        second: Option<Encoding>,
        add_special_tokens: bool,
    ) -> Encoding {
        let is_pair = second.is_some();
        let mut parts = vec![first];
        parts.extend(second);
        if self.given || is_pair {
            for (number, part) in parts.iter_mut().enumerate() {
                part.set_sequence(number);
                if self.given {
                    part.overflowing
                        .iter_mut()
                        .for_each(|cut| cut.set_sequence(number));
                    part.set_type(number as u32);
                }
            }
        }
        for step in &self.steps {
            parts = step.process(parts, is_pair, add_special_tokens);
        }
        let mut parts = parts.into_iter();
        let mut joined = if self.given || is_pair {
            Encoding::default()
        } else {
            parts.next().unwrap_or_default()
        };
        parts.for_each(|part| joined.append(part));
        joined
    }
}

impl Step {
    fn process(&self, mut parts: Vec<Encoding>, is_pair: bool, add: bool) -> Vec<Encoding> {
        match self {
            Self::ByteLevel(trim) => {
                for (number, part) in parts.iter_mut().enumerate() {
                    trim_all(*trim, part);
                    part.set_sequence(number);
                }
                parts
            }
            Self::Template { single, pair } => (if is_pair { pair } else { single })
                .iter()
                .filter_map(|piece| match piece {
                    Piece::Text { number, type_id } => {
                        let part = &mut parts[*number];
                        part.set_type(*type_id);
                        part.set_sequence(*number);
                        Some(part.clone())
                    }
                    Piece::Special { tokens, type_id } => add.then(|| {
                        let mut part = Encoding::default();
                        for Named { token, id } in tokens {
                            part.push(*id, *type_id, token.clone(), None, (0, 0), true);
                        }
                        part
                    }),
                })
                .collect(),
            Self::Bert { cls, sep } => {
                if add {
                    for (number, part) in parts.iter_mut().enumerate() {
                        let before = (number == 0).then_some(cls);
                        around(part, number, before, sep, number as u32);
                        for cut in &mut part.overflowing {
                            around(cut, number, before, sep, number as u32);
                        }
                    }
                }
                parts
            }
            Self::Roberta { cls, sep, trim } => {
                for part in &mut parts {
                    trim_all(*trim, part);
                    part.set_type(0);
                }
                if add {
                    for (number, part) in parts.iter_mut().enumerate() {
                        let before = Some(if number == 0 { cls } else { sep });
                        around(part, number, before, sep, 0);
                        for cut in &mut part.overflowing {
                            around(cut, number, before, sep, 0);
                            cut.set_type(0);
                        }
                    }
                }
                parts
            }
        }
    }
}

/// Puts tokens around a part, and says anew where its text lies.
fn around(part: &mut Encoding, number: usize, before: Option<&Named>, after: &Named, type_id: u32) {
    let mut whole = Encoding::default();
    let text = std::mem::take(part);
    let start = usize::from(before.is_some());
    if let Some(Named { token, id }) = before {
        whole.push(*id, type_id, token.clone(), None, (0, 0), true);
    }
    let overflowing = text.overflowing.clone();
    whole.append(Encoding {
        overflowing: Vec::new(),
        ranges: Vec::new(),
        special_tokens_mask: vec![0; text.len()],
        attention_mask: vec![1; text.len()],
        ..text
    });
    let end = whole.len();
    whole.push(after.id, type_id, after.token.clone(), None, (0, 0), true);
    whole.ranges = vec![None; number + 1];
    whole.ranges[number] = Some(start..end);
    whole.overflowing = overflowing;
    *part = whole;
}

fn trim_all(trim: Option<Trim>, part: &mut Encoding) {
    if let Some(trim) = trim {
        trim.apply(part);
        part.overflowing.iter_mut().for_each(|cut| trim.apply(cut));
    }
}

impl Trim {
    fn apply(self, part: &mut Encoding) {
        let classes = Classes::get();
        let space = |c: &char| *c == char_of(b' ') || classes.of(*c) & IS_SPACE != 0;
        for (i, (token, offsets)) in part.tokens.iter().zip(&mut part.offsets).enumerate() {
            let mut leading = token.chars().take_while(space).count() as u32;
            let trailing = token.chars().rev().take_while(space).count() as u32;
            if leading > 0 {
                // A single space at the beginning is the one that was put there.
                let first = i == 0 || offsets.0 == 0;
                if first && self.add_prefix_space && leading == 1 {
                    leading = 0;
                }
                offsets.0 = offsets.1.min(offsets.0 + leading);
            }
            if trailing > 0 && offsets.1 >= trailing {
                offsets.1 = offsets.0.max(offsets.1 - trailing);
            }
        }
    }
}

/// A template for `texts` texts.
fn pieces(
    node: &Node<'_>,
    special: &Node<'_>,
    vocab: &Vocab,
    texts: usize,
) -> Result<Vec<Piece>, Error> {
    let mut all = Vec::new();
    for piece in node.items()? {
        match piece.entries()? {
            [(kind, _)] if kind == "Sequence" => {
                let sequence = piece.get(kind)?;
                let number = match sequence.get("id")?.string()? {
                    "A" => 0,
                    "B" if texts == 2 => 1,
                    _ => return Err(piece.error("is not the one text of a single template")),
                };
                all.push(Piece::Text {
                    number,
                    type_id: sequence.get("type_id")?.u32()?,
                });
            }
            [(kind, _)] if kind == "SpecialToken" => {
                let token = piece.get(kind)?;
                let entry = special.get(token.get("id")?.string()?)?;
                let (ids, tokens) = (entry.get("ids")?, entry.get("tokens")?);
                if ids.array()?.len() != tokens.array()?.len() {
                    return Err(entry.error("has not as many ids as tokens"));
                }
                let tokens = ids.items()?.zip(tokens.items()?);
                all.push(Piece::Special {
                    tokens: tokens
                        .map(|(id, token)| {
                            Ok(Named {
                                token: token.string()?.to_owned(),
                                id: known_id(&id, vocab)?,
                            })
                        })
                        .collect::<Result<_, Error>>()?,
                    type_id: token.get("type_id")?.u32()?,
                });
            }
            _ => return Err(piece.error("is neither a Sequence nor a SpecialToken")),
        }
    }
    // A template for pairs may lack them; files that are never used for pairs have such.
    if texts == 1 && !all.iter().any(|piece| matches!(piece, Piece::Text { .. })) {
        return Err(node.error("has no Sequence for the text"));
    }
    Ok(all)
}

/// An id that some token has.
fn known_id(node: &Node<'_>, vocab: &Vocab) -> Result<u32, Error> {
    let id = node.id()?;
    match vocab.token(id) {
        Some(_) => Ok(id),
        None => Err(node.error(format!("id {id} is not in the vocabulary"))),
    }
}

/// A pair of token and id.
fn named(node: &Node<'_>, vocab: &Vocab) -> Result<Named, Error> {
    let mut items = node.items()?;
    match (items.next(), items.next(), items.next()) {
        (Some(token), Some(id), None) => Ok(Named {
            token: token.string()?.to_owned(),
            id: known_id(&id, vocab)?,
        }),
        _ => Err(node.error("is not a pair of token and id")),
    }
}
