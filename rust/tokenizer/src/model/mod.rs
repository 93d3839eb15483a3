//! Models: from words to ids.

pub(crate) mod bpe;
mod merge;
mod pairs;
mod parse;
mod trie;
mod unigram;
pub(crate) mod vocab;
mod wordpiece;

use crate::error::{quote, Error};
use bpe::Bpe;
pub(crate) use merge::{Scratch, SCAN_LIMIT};
pub(crate) use pairs::{Merge, NO_MERGE};
use unigram::Unigram;
use vocab::Vocab;
use wordpiece::WordPiece;

/// A token of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) id: u32,
    /// Where in the word it is.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Whether its text is that of the word, and not that of the vocabulary.
    pub(crate) literal: bool,
}

/// Any model of tokenizer.json.
pub(crate) enum Model {
    Bpe(Box<Bpe>),
    Unigram(Unigram),
    WordPiece(WordPiece),
    WordLevel { unknown: Unknown },
}

impl Model {
    /// Appends the tokens of one word, which is not empty.
    pub(crate) fn tokenize(
        &self,
        vocab: &Vocab,
        word: &str,
        scratch: &mut Scratch,
        out: &mut Vec<Token>,
    ) -> Result<(), Error> {
        match self {
            Self::Bpe(bpe) => bpe.tokenize(vocab, word, scratch, out),
            Self::Unigram(unigram) => unigram.tokenize(word, out),
            Self::WordPiece(wordpiece) => wordpiece.tokenize(word, out),
            Self::WordLevel { unknown } => {
                let id = match vocab.model_id(word) {
                    Some(id) => id,
                    None => unknown.id()?,
                };
                out.push(whole_word(id, word));
                Ok(())
            }
        }
    }
}

fn whole_word(id: u32, word: &str) -> Token {
    Token {
        id,
        start: 0,
        end: word.len() as u32,
        literal: false,
    }
}

/// The `unk_token` of a model.
#[derive(Clone, Debug)]
pub(crate) enum Unknown {
    Id(u32),
    /// Named, but the vocabulary lacks it. It is an error when it is first needed.
    Missing(String),
}

impl Unknown {
    fn new(token: &str, vocab: &Vocab) -> Self {
        match vocab.id(token) {
            Some(id) => Self::Id(id),
            None => Self::Missing(token.to_owned()),
        }
    }

    fn id(&self) -> Result<u32, Error> {
        match self {
            Self::Id(id) => Ok(*id),
            Self::Missing(token) => Err(Error::Text {
                problem: format!(
                    "the text has what the vocabulary lacks, and so is unk_token {}",
                    quote(token)
                ),
            }),
        }
    }
}
