//! Many texts at once, by several threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

use crate::encode::{Options, Unit};
use crate::error::Error;
use crate::Tokenizer;

/// The ids of several texts, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The ids of all texts.
    pub ids: Vec<u32>,
    /// Where in `ids` those of each text end.
    pub ends: Vec<usize>,
}

/// What became of a share, once a thread has done it.
type Done = Mutex<Option<Result<Batch, (usize, Error)>>>;

/// What a thread takes at a time: enough to be worth it, and little enough to share out.
const SHARE: usize = 1 << 16;

impl Tokenizer {
    /// The ids of each text, padded alike if the file says so. `threads` is at least 1.
    ///
    /// # Errors
    /// The first text that fails, by its number, and why: as [`Self::encode_full`].
    pub fn encode_batch(
        &self,
        texts: &[&str],
        options: Options,
        threads: usize,
    ) -> Result<Batch, (usize, Error)> {
        if self.padding.is_some() {
            return self.padded(texts, options);
        }
        let shares = shares(texts);
        let threads = threads.min(shares.len());
        let mut batch = Batch {
            ids: Vec::new(),
            ends: Vec::with_capacity(texts.len()),
        };
        if threads <= 1 {
            self.share(texts, 0, options, &mut batch)?;
            return Ok(batch);
        }
        let next = AtomicUsize::new(0);
        let done: Vec<Done> = shares.iter().map(|_| Mutex::new(None)).collect();
        let work = || loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(&(start, end)) = shares.get(number) else {
                break;
            };
            let mut part = Batch::default();
            let result = self
                .share(&texts[start..end], start, options, &mut part)
                .map(|()| part);
            if let Ok(mut slot) = done[number].lock() {
                *slot = Some(result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let mut parts = Vec::with_capacity(done.len());
        for slot in done {
            // All threads have ended, and none panicked, or the scope would have.
            if let Ok(Some(part)) = slot.into_inner() {
                parts.push(part?);
            }
        }
        batch
            .ids
            .reserve_exact(parts.iter().map(|part| part.ids.len()).sum());
        for part in parts {
            let before = batch.ids.len();
            batch.ends.extend(part.ends.iter().map(|end| before + end));
            batch.ids.extend_from_slice(&part.ids);
        }
        Ok(batch)
    }

    /// Appends texts, the first of which has the number `first`.
    fn share(
        &self,
        texts: &[&str],
        first: usize,
        options: Options,
        batch: &mut Batch,
    ) -> Result<(), (usize, Error)> {
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        batch.ids.reserve(bytes / 4 + 4);
        let mut encoder = self.encoder(options);
        for (number, text) in texts.iter().enumerate() {
            encoder
                .append(text, &mut batch.ids)
                .map_err(|error| (first + number, error))?;
            batch.ends.push(batch.ids.len());
        }
        Ok(())
    }

    fn padded(&self, texts: &[&str], options: Options) -> Result<Batch, (usize, Error)> {
        let mut encodings = Vec::with_capacity(texts.len());
        for (number, text) in texts.iter().enumerate() {
            let encoding = self.encode_full(text, None, Unit::None, options);
            encodings.push(encoding.map_err(|error| (number, error))?);
        }
        if let Some(padding) = &self.padding {
            padding.apply(&mut encodings);
        }
        let mut batch = Batch::default();
        for encoding in encodings {
            batch.ids.extend(encoding.ids);
            batch.ends.push(batch.ids.len());
        }
        Ok(batch)
    }

    /// The text of each sequence of ids, by several threads. `threads` is at least 1.
    ///
    /// # Errors
    /// The first sequence that fails, by its number, and why: as [`Self::decode`].
    pub fn decode_batch(
        &self,
        sequences: &[&[u32]],
        skip_special_tokens: bool,
        threads: usize,
    ) -> Result<Vec<String>, (usize, Error)> {
        let threads = threads.min(sequences.len()).max(1);
        let part = sequences.len().div_ceil(threads).max(1);
        let decode = |(share, sequences): (usize, &[&[u32]])| {
            let one = |(number, ids): (usize, &&[u32])| {
                self.decode(ids, skip_special_tokens)
                    .map_err(|error| (share * part + number, error))
            };
            sequences
                .iter()
                .enumerate()
                .map(one)
                .collect::<Result<Vec<_>, _>>()
        };
        if threads == 1 {
            return decode((0, sequences));
        }
        let results = std::thread::scope(|scope| {
            let workers: Vec<_> = sequences
                .chunks(part)
                .enumerate()
                .map(|share| scope.spawn(move || decode(share)))
                .collect();
            workers
                .into_iter()
                .map(|worker| {
                    worker
                        .join()
                        .unwrap_or_else(|p| std::panic::resume_unwind(p))
                })
                .collect::<Vec<_>>()
        });
        let mut texts = Vec::with_capacity(sequences.len());
        for result in results {
            texts.extend(result?);
        }
        Ok(texts)
    }
}

/// Neighbouring texts in shares of about equal size: ranges of their numbers.
fn shares(texts: &[&str]) -> Vec<(usize, usize)> {
    let mut shares = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (number, text) in texts.iter().enumerate() {
        bytes += text.len() + 16;
        if bytes >= SHARE {
            shares.push((start, number + 1));
            (start, bytes) = (number + 1, 0);
        }
    }
    if start < texts.len() {
        shares.push((start, texts.len()));
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_all_texts() {
        let long = "x".repeat(SHARE);
        let texts = ["a", "b", long.as_str(), "c", long.as_str(), "d"];
        assert_eq!(shares(&texts), [(0, 3), (3, 5), (5, 6)]);
        assert_eq!(shares(&[]), []);
    }
}
