//! What encoding a text gives beside ids, and how it is cut, padded and joined.

use std::ops::Range;

use crate::error::Error;

/// Tokens of a text or a pair of texts, in columns of equal length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Which part of the input, as the post-processor numbers them.
    pub type_ids: Vec<u32>,
    /// The tokens' texts; empty if offsets were not asked for.
    pub tokens: Vec<String>,
    /// The word of the pre-tokenizer that a token comes from.
    pub words: Vec<Option<u32>>,
    /// Start and end in the original text, in the unit that was asked for.
    pub offsets: Vec<(u32, u32)>,
    /// 1 for a token that the post-processor added.
    pub special_tokens_mask: Vec<u8>,
    /// 0 for padding.
    pub attention_mask: Vec<u8>,
    /// What truncation cut off, each as long as is allowed, overlapping by the stride.
    pub overflowing: Vec<Encoding>,
    /// The range of each sequence, by its number.
    pub(crate) ranges: Vec<Option<Range<usize>>>,
}

/// From which end to cut or pad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Encoding {
    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// For each token the number of the sequence it belongs to, if any.
    pub fn sequence_ids(&self) -> Vec<Option<usize>> {
        let known = self.ranges.iter().any(Option::is_some);
        let mut ids = vec![if known { None } else { Some(0) }; self.len()];
        // The reference looks at as many sequences as it has ranges, from 0 on; one that has
        // none counts as the whole.
        let count = self.ranges.iter().flatten().count();
        for number in 0..count {
            let range = match self.ranges.get(number) {
                Some(Some(range)) => range.clone(),
                _ => 0..ids.len(),
            };
            if let Some(part) = ids.get_mut(range) {
                part.fill(Some(number));
            }
        }
        ids
    }

    pub(crate) fn push(
        &mut self,
        id: u32,
        type_id: u32,
        token: String,
        word: Option<u32>,
        offsets: (u32, u32),
        special: bool,
    ) {
        self.ids.push(id);
        self.type_ids.push(type_id);
        self.tokens.push(token);
        self.words.push(word);
        self.offsets.push(offsets);
        self.special_tokens_mask.push(u8::from(special));
        self.attention_mask.push(1);
    }

    pub(crate) fn set_sequence(&mut self, number: usize) {
        if self.ranges.len() <= number {
            self.ranges.resize(number + 1, None);
        }
        self.ranges[number] = Some(0..self.len());
    }

    pub(crate) fn set_type(&mut self, type_id: u32) {
        self.type_ids.clear();
        self.type_ids.resize(self.ids.len(), type_id);
    }

    fn part(&self, range: Range<usize>) -> Self {
        Self {
            ids: self.ids[range.clone()].to_vec(),
            type_ids: self.type_ids[range.clone()].to_vec(),
            tokens: self.tokens[range.clone()].to_vec(),
            words: self.words[range.clone()].to_vec(),
            offsets: self.offsets[range.clone()].to_vec(),
            special_tokens_mask: self.special_tokens_mask[range.clone()].to_vec(),
            attention_mask: self.attention_mask[range].to_vec(),
            overflowing: Vec::new(),
            ranges: Vec::new(),
        }
    }

    /// Cuts to `max` tokens; the rest goes to `overflowing`.
    pub(crate) fn truncate(&mut self, max: usize, stride: usize, side: Side) -> Result<(), Error> {
        let len = self.len();
        if max >= len {
            return Ok(());
        }
        if max == 0 {
            let all = std::mem::take(self);
            self.overflowing.push(all);
            return Ok(());
        }
        if stride >= max {
            return Err(Error::Text {
                problem: format!(
                    "truncation to {max} tokens is not longer than its stride {stride}"
                ),
            });
        }
        let step = max - stride;
        let mut parts = Vec::new();
        match side {
            Side::Right => {
                let mut start = 0;
                loop {
                    let stop = len.min(start + max);
                    parts.push(start..stop);
                    if stop == len {
                        break;
                    }
                    start += step;
                }
            }
            Side::Left => {
                let mut stop = len;
                loop {
                    let start = stop.saturating_sub(max);
                    parts.push(start..stop);
                    if start == 0 {
                        break;
                    }
                    stop -= step;
                }
            }
        }
        let mut parts = parts.into_iter().map(|range| self.part(range));
        let Some(mut first) = parts.next() else {
            return Ok(());
        };
        first.overflowing = parts.collect();
        *self = first;
        Ok(())
    }

    /// Pads to `length` tokens, what was cut off too.
    pub(crate) fn pad(&mut self, length: usize, padding: &Padding) {
        for part in &mut self.overflowing {
            part.pad(length, padding);
        }
        let Some(missing) = length.checked_sub(self.len()).filter(|n| *n > 0) else {
            return;
        };
        fn fill<T: Clone>(column: &mut Vec<T>, value: T, missing: usize, side: Side) {
            let at = match side {
                Side::Left => 0,
                Side::Right => column.len(),
            };
            column.splice(at..at, std::iter::repeat_n(value, missing));
        }
        let side = padding.side;
        fill(&mut self.ids, padding.id, missing, side);
        fill(&mut self.type_ids, padding.type_id, missing, side);
        fill(&mut self.tokens, padding.token.clone(), missing, side);
        fill(&mut self.words, None, missing, side);
        fill(&mut self.offsets, (0, 0), missing, side);
        fill(&mut self.special_tokens_mask, 1, missing, side);
        fill(&mut self.attention_mask, 0, missing, side);
        if side == Side::Left {
            for range in self.ranges.iter_mut().flatten() {
                *range = range.start + missing..range.end + missing;
            }
        }
    }

    /// Appends another; what was cut off of either is combined with the whole of the other.
    pub(crate) fn append(&mut self, other: Self) {
        let mut overflowing = Vec::new();
        for cut in &self.overflowing {
            for right in std::iter::once(&other).chain(&other.overflowing) {
                let mut joined = cut.clone();
                joined.append(right.clone());
                overflowing.push(joined);
            }
        }
        for right in &other.overflowing {
            let mut joined = self.clone();
            joined.append(right.clone());
            overflowing.push(joined);
        }
        let before = self.len();
        for (number, range) in other.ranges.into_iter().enumerate() {
            if let Some(range) = range {
                if self.ranges.len() <= number {
                    self.ranges.resize(number + 1, None);
                }
                self.ranges[number] = Some(before + range.start..before + range.end);
            }
        }
        self.ids.extend(other.ids);
        self.type_ids.extend(other.type_ids);
        self.tokens.extend(other.tokens);
        self.words.extend(other.words);
        self.offsets.extend(other.offsets);
        self.special_tokens_mask.extend(other.special_tokens_mask);
        self.attention_mask.extend(other.attention_mask);
        self.overflowing = overflowing;
    }
}

/// The `padding` of a file.
#[derive(Clone, Debug)]
pub(crate) struct Padding {
    /// To this length, or else to the longest of a batch.
    pub(crate) fixed: Option<usize>,
    pub(crate) side: Side,
    pub(crate) multiple_of: usize,
    pub(crate) id: u32,
    pub(crate) type_id: u32,
    pub(crate) token: String,
}

impl Padding {
    /// Pads the encodings of one batch.
    pub(crate) fn apply(&self, batch: &mut [Encoding]) {
        let longest = batch.iter().map(Encoding::len).max().unwrap_or(0);
        let length = self.fixed.unwrap_or(longest);
        let length = match self.multiple_of {
            0 => length,
            n => length.next_multiple_of(n),
        };
        for encoding in batch {
            encoding.pad(length, self);
        }
    }
}

/// Which text of a pair to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    LongestFirst,
    OnlyFirst,
    OnlySecond,
}

/// The `truncation` of a file.
#[derive(Clone, Debug)]
pub(crate) struct Truncation {
    pub(crate) side: Side,
    pub(crate) max_length: usize,
    pub(crate) strategy: Strategy,
    pub(crate) stride: usize,
}

impl Truncation {
    /// Cuts a text and the other of its pair to `max` tokens together.
    pub(crate) fn apply(
        &self,
        max: usize,
        first: &mut Encoding,
        mut second: Option<&mut Encoding>,
    ) -> Result<(), Error> {
        let (stride, side) = (self.stride, self.side);
        if max == 0 {
            first.truncate(0, stride, side)?;
            return second.map_or(Ok(()), |second| second.truncate(0, stride, side));
        }
        let total = first.len() + second.as_ref().map_or(0, |second| second.len());
        if total <= max {
            return Ok(());
        }
        let remove = total - max;
        match (self.strategy, &mut second) {
            (Strategy::LongestFirst, None) => first.truncate(total - remove, stride, side),
            (Strategy::LongestFirst, Some(second)) => {
                let (mut less, mut more) = (first.len(), second.len());
                let swapped = less > more;
                if swapped {
                    std::mem::swap(&mut less, &mut more);
                }
                more = if less > max {
                    less
                } else {
                    less.max(max - less)
                };
                if less + more > max {
                    less = max / 2;
                    more = less + max % 2;
                }
                if swapped {
                    std::mem::swap(&mut less, &mut more);
                }
                first.truncate(less, stride, side)?;
                second.truncate(more, stride, side)
            }
            (Strategy::OnlyFirst, _) => cut(first, remove, stride, side),
            (Strategy::OnlySecond, Some(second)) => cut(second, remove, stride, side),
            (Strategy::OnlySecond, None) => Err(Error::Text {
                problem: "truncation is to cut the second text of a pair, and there is none".into(),
            }),
        }
    }
}

fn cut(text: &mut Encoding, remove: usize, stride: usize, side: Side) -> Result<(), Error> {
    if text.len() <= remove {
        return Err(Error::Text {
            problem: format!(
                "truncation is to remove {remove} tokens of a text of {}",
                text.len()
            ),
        });
    }
    text.truncate(text.len() - remove, stride, side)
}
