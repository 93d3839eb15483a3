//! Added tokens: found in the text before anything else looks at it.

use aho_corasick::{AhoCorasick, MatchKind};

use crate::error::{quote, Error};
use crate::json::Node;
use crate::model::vocab::Vocab;
use crate::normalize::Normalizer;
use crate::text::Text;
use crate::unicode::{Class, Classes, IS_SPACE, IS_WORD};

/// A piece of text as the matcher leaves it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    Text(&'a str),
    /// An added token and the text that it takes, stripped white space with it.
    Token(u32, &'a str),
}

struct AddedToken {
    id: u32,
    special: bool,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
}

/// Tokens that are matched in one pass over the text.
#[derive(Default)]
struct Pass {
    tokens: Vec<AddedToken>,
    contents: Vec<String>,
    matcher: Option<AhoCorasick>,
}

/// All added tokens of a tokenizer.
#[derive(Default)]
pub(crate) struct AddedTokens {
    /// `normalized: false`: matched first.
    literal: Pass,
    /// `normalized: true`: matched in what the first pass leaves, after the normalizer, and by
    /// the form that the normalizer gives the token.
    normalized: Pass,
    special: Vec<u32>,
    /// Normal forms that differ from the token: what decoding sees in its place.
    forms: Vec<(u32, String)>,
    leave_spaces: bool,
}

impl AddedTokens {
    /// Reads `added_tokens`; those that the model lacks join `vocab`.
    pub(crate) fn from_json(
        node: &Node<'_>,
        normalizer: Option<&Normalizer>,
        vocab: &mut Vocab,
    ) -> Result<Self, Error> {
        let mut this = Self {
            leave_spaces: true,
            ..Self::default()
        };
        if node.is_null() {
            return Ok(this);
        }
        let mut seen = std::collections::HashSet::new();
        let mut forms = std::collections::HashSet::new();
        for item in node.items()? {
            item.only(&[
                "id",
                "content",
                "single_word",
                "lstrip",
                "rstrip",
                "normalized",
                "special",
            ])?;
            let content = item.get("content")?;
            let text = content.string()?;
            if text.is_empty() {
                return Err(content.error("is empty"));
            }
            if !seen.insert(text) {
                return Err(content.error(format!("{} is listed twice", quote(text))));
            }
            let id = place(&item, text, vocab)?;
            let token = AddedToken {
                id,
                special: item.get("special")?.bool()?,
                single_word: item.get("single_word")?.bool()?,
                lstrip: item.get("lstrip")?.bool()?,
                rstrip: item.get("rstrip")?.bool()?,
            };
            this.leave_spaces &= !token.rstrip && !text.contains(' ');
            if token.special {
                this.special.push(id);
            }
            if item.get("normalized")?.bool()? {
                let mut form = Text::new(text, false);
                if let Some(normalizer) = normalizer {
                    normalizer
                        .apply(&mut form)
                        .map_err(|e| content.error(e.to_string()))?;
                }
                if form.is_empty() {
                    return Err(content.error(format!("{} is empty once normalized", quote(text))));
                }
                if !forms.insert(form.as_str().to_owned()) {
                    return Err(content.error(format!(
                        "{} is the same as another once normalized",
                        quote(text)
                    )));
                }
                if form.as_str() != text {
                    this.forms.push((id, form.as_str().to_owned()));
                }
                this.normalized.tokens.push(token);
                this.normalized.contents.push(form.as_str().to_owned());
            } else {
                this.literal.tokens.push(token);
                this.literal.contents.push(text.to_owned());
            }
        }
        this.literal.build(node)?;
        this.normalized.build(node)?;
        Ok(this)
    }

    /// Ids of the tokens with `special: true`, in the order of the file.
    pub(crate) fn special(&self) -> &[u32] {
        &self.special
    }

    /// Ids and forms of the tokens that decoding sees in their normal form.
    pub(crate) fn forms(&self) -> &[(u32, String)] {
        &self.forms
    }

    /// Whether none can take a space that stands between two words.
    pub(crate) fn leave_spaces(&self) -> bool {
        self.leave_spaces
    }

    /// Whether any are looked for after the normalizer.
    pub(crate) fn any_normalized(&self) -> bool {
        self.normalized.matcher.is_some()
    }

    /// Calls `emit` with the texts and tokens that make up `text`, in order: those that are
    /// matched before the normalizer. Special ones may be left in the text.
    pub(crate) fn split_literal<'a>(
        &self,
        text: &'a str,
        special_is_text: bool,
        emit: &mut impl FnMut(Segment<'a>),
    ) {
        self.literal.split(text, special_is_text, emit);
    }

    /// The same for those that are matched after it.
    pub(crate) fn split_normalized<'a>(
        &self,
        text: &'a str,
        special_is_text: bool,
        emit: &mut impl FnMut(Segment<'a>),
    ) {
        self.normalized.split(text, special_is_text, emit);
    }
}

/// The id of an added token, which the reference gives by rule and not by the file.
fn place(item: &Node<'_>, text: &str, vocab: &mut Vocab) -> Result<u32, Error> {
    let node = item.get("id")?;
    let stated = node.id()?;
    if let Some(id) = vocab.id(text) {
        if id != stated {
            let problem = format!("is {stated}, but the model has {} as {id}", quote(text));
            return Err(node.error(problem));
        }
        return Ok(id);
    }
    // New tokens are numbered on from the count of those before, gaps or not.
    let next = vocab.next_added();
    if next != stated as usize {
        let problem = format!("of {} is {stated} where {next} is due", quote(text));
        return Err(node.error(problem));
    }
    vocab
        .insert_added(text, stated)
        .map_err(|p| node.error(p))?;
    Ok(stated)
}

impl Pass {
    fn build(&mut self, node: &Node<'_>) -> Result<(), Error> {
        let contents = std::mem::take(&mut self.contents);
        if !contents.is_empty() {
            let matcher = AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(contents)
                .map_err(|e| node.error(e.to_string()))?;
            self.matcher = Some(matcher);
        }
        Ok(())
    }

    /// Walks the matches as the reference does, oddities included: a token with
    /// `rstrip` may reach over the start of the next match, which then stands too.
    fn split<'a>(&self, text: &'a str, special_is_text: bool, emit: &mut impl FnMut(Segment<'a>)) {
        let mut done = 0;
        let found = self.matcher.iter().flat_map(|m| m.find_iter(text));
        for found in found {
            let token = &self.tokens[found.pattern().as_usize()];
            let (mut start, mut end) = (found.start(), found.end());
            if token.special && special_is_text {
                continue;
            }
            if token.single_word && (ends_in_word(&text[..start]) || starts_in_word(&text[end..])) {
                continue;
            }
            if token.lstrip {
                start = trim_end(&text[..start]).len().max(done);
            }
            if token.rstrip {
                end = text.len() - trim_start(&text[end..]).len();
            }
            if start >= end {
                // All of it is white space that the token before has stripped.
                continue;
            }
            if done < start {
                emit(Segment::Text(&text[done..start]));
            }
            emit(Segment::Token(token.id, &text[start..end]));
            done = end;
        }
        if done < text.len() {
            emit(Segment::Text(&text[done..]));
        }
    }
}

fn is(class: Class) -> impl Fn(char) -> bool {
    let classes = Classes::get();
    move |c| classes.of(c) & class != 0
}

fn starts_in_word(text: &str) -> bool {
    text.chars().next().is_some_and(is(IS_WORD))
}

fn ends_in_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(is(IS_WORD))
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches(is(IS_SPACE))
}

fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is(IS_SPACE))
}
