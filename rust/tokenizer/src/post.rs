//! Post-processors: the ids that go before and after those of a text.

use crate::error::{quote, Error};
use crate::json::Node;
use crate::model::vocab::Vocab;

/// What every supported post-processor does to the ids of a single text.
#[derive(Default)]
pub(crate) struct PostProcessor {
    pub(crate) before: Vec<u32>,
    pub(crate) after: Vec<u32>,
}

impl PostProcessor {
    pub(crate) fn from_json(node: &Node<'_>, vocab: &Vocab) -> Result<Self, Error> {
        let mut this = Self::default();
        this.add(node, vocab, &mut false)?;
        Ok(this)
    }

    /// Adds one processor; `taken` once one of them places ids, since two would nest.
    fn add(&mut self, node: &Node<'_>, vocab: &Vocab, taken: &mut bool) -> Result<(), Error> {
        if node.is_null() {
            return Ok(());
        }
        let kind = node.get("type")?;
        match kind.string()? {
            "ByteLevel" => {
                // All it changes are offsets.
                node.only(&["type", "add_prefix_space", "trim_offsets", "use_regex"])?;
            }
            "Sequence" => {
                node.only(&["type", "processors"])?;
                for item in node.get("processors")?.items()? {
                    self.add(&item, vocab, taken)?;
                }
            }
            "TemplateProcessing" | "RobertaProcessing" if *taken => {
                return Err(node.error("a second processor that adds tokens is not supported"));
            }
            "TemplateProcessing" => {
                *taken = true;
                self.template(node, vocab)?;
            }
            "RobertaProcessing" => {
                *taken = true;
                node.only(&["type", "sep", "cls", "trim_offsets", "add_prefix_space"])?;
                self.before.push(named_id(&node.get("cls")?, vocab)?);
                self.after.push(named_id(&node.get("sep")?, vocab)?);
            }
            other => {
                let problem = format!("post-processor {} is not supported", quote(other));
                return Err(kind.error(problem));
            }
        }
        Ok(())
    }

    fn template(&mut self, node: &Node<'_>, vocab: &Vocab) -> Result<(), Error> {
        // `pair` is for two texts at once, which `encode` does not take.
        node.only(&["type", "single", "pair", "special_tokens"])?;
        let special = node.get("special_tokens")?;
        let single = node.get("single")?;
        let mut has_text = false;
        for piece in single.items()? {
            match piece.entries()? {
                [(kind, _)] if kind == "Sequence" => {
                    let id = piece.get(kind)?.get("id")?;
                    if has_text || id.string()? != "A" {
                        return Err(piece.error("is not the one text of a single template"));
                    }
                    has_text = true;
                }
                [(kind, _)] if kind == "SpecialToken" => {
                    let name = piece.get(kind)?.get("id")?.string()?;
                    for id in special.get(name)?.get("ids")?.items()? {
                        let id = known_id(&id, vocab)?;
                        if has_text {
                            self.after.push(id);
                        } else {
                            self.before.push(id);
                        }
                    }
                }
                _ => return Err(piece.error("is neither a Sequence nor a SpecialToken")),
            }
        }
        if has_text {
            Ok(())
        } else {
            Err(single.error("has no Sequence for the text"))
        }
    }
}

/// An id that some token has.
fn known_id(node: &Node<'_>, vocab: &Vocab) -> Result<u32, Error> {
    let id = node.id()?;
    match vocab.token(id) {
        Some(_) => Ok(id),
        None => Err(node.error(format!("id {id} is not in the vocabulary"))),
    }
}

/// The id of a pair of token and id.
fn named_id(node: &Node<'_>, vocab: &Vocab) -> Result<u32, Error> {
    let mut items = node.items()?;
    match (items.next(), items.next(), items.next()) {
        (Some(token), Some(id), None) => {
            token.string()?;
            known_id(&id, vocab)
        }
        _ => Err(node.error("is not a pair of token and id")),
    }
}
