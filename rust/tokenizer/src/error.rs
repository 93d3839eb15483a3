use std::fmt;
use std::path::PathBuf;

/// Why a tokenizer could not be loaded or a text not be converted.
///
/// `Display` gives one line that names the culprit: the file, the field, the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The file cannot be read, or what it holds is refused.
    File {
        /// The file as the caller named it.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The text is not JSON.
    Json {
        /// The parser's message with line and column.
        problem: String,
    },
    /// A field of tokenizer.json is damaged, or asks for what is not supported.
    Field {
        /// Its path, like `model.merges[7]`.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An id that no token has.
    UnknownId {
        /// The id.
        id: u32,
        /// How many tokens there are.
        vocab_size: usize,
    },
    /// A text that this tokenizer cannot convert.
    Text {
        /// What is in the way.
        problem: String,
    },
    /// A text too long for 32-bit positions.
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
}

impl Error {
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Json { problem } => write!(f, "not a tokenizer.json: {problem}"),
            Self::Field { field, problem } => write!(f, "{field}: {problem}"),
            Self::UnknownId { id, vocab_size } => {
                write!(f, "id {id} is not in the vocabulary of {vocab_size} tokens")
            }
            Self::Text { problem } => f.write_str(problem),
            Self::TooLong { bytes } => {
                write!(f, "text of {bytes} bytes is longer than 4294967294 bytes")
            }
        }
    }
}

impl std::error::Error for Error {}

/// A name from the file as it may stand in a one-line message.
pub(crate) fn quote(name: &str) -> String {
    const LONGEST: usize = 60;
    match name.char_indices().nth(LONGEST) {
        None => format!("{name:?}"),
        Some((end, _)) => format!("{:?}…", &name[..end]),
    }
}
