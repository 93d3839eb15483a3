//! What the encoding of an input needs beside the tables: a cache of its own, and buffers.

use std::sync::Mutex;

use super::ahead::Ahead;
use super::cache::{Own, OwnLong};
use crate::model::Scratch;

pub(crate) struct State {
    pub(super) own: Own,
    pub(super) own_long: OwnLong,
    pub(super) scratch: Scratch,
    /// Taken while it is used.
    pub(super) ahead: Option<Box<Ahead>>,
}

/// States that no thread is using. A thread takes one for an input or a batch, so that there
/// are as many as ever worked at the same time, and what they know stays when threads end.
#[derive(Default)]
pub(super) struct Idle(Mutex<Vec<State>>);

/// How many idle states are kept.
const MOST: usize = 64;

impl Idle {
    pub(super) fn take(&self) -> State {
        let known = self.0.lock().ok().and_then(|mut states| states.pop());
        known.unwrap_or_else(|| State {
            own: Own::new(),
            own_long: OwnLong::new(),
            scratch: Scratch::default(),
            ahead: None,
        })
    }

    pub(super) fn give_back(&self, state: State) {
        if let Ok(mut states) = self.0.lock() {
            if states.len() < MOST {
                states.push(state);
            }
        }
    }
}
