//! zstd (RFC 8878): one frame, or a few behind one another; frames to be skipped are skipped.

use super::{Fault, PARTS_MAX, STEP_SENT_BYTES, Steps};
use fiber_contract::limits::BODY_BYTES_MAX;
use ruzstd::decoding::errors::{FrameDecoderError, FrameHeaderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// No block makes more (RFC 8878, 3.1.1.2.4).
const BLOCK_BYTES_MAX: usize = 128 * 1024;
const STEP_BLOCKS: usize = super::STEP_BYTES_MAX / BLOCK_BYTES_MAX;
/// The decoder keeps back as much as its window, which is no larger than this.
const WINDOW_BYTES_MAX: usize = BODY_BYTES_MAX;

pub(super) struct Frames<'b> {
    sent: &'b [u8],
    frames: usize,
    frame: Option<Frame>,
}

struct Frame {
    decoder: FrameDecoder,
    /// Plain bytes given out.
    given: usize,
    blocks: usize,
}

impl<'b> Frames<'b> {
    pub(super) fn new(sent: &'b [u8]) -> Self {
        Self {
            sent,
            frames: 0,
            frame: None,
        }
    }

    /// The next frame; `None` when it was one to be skipped.
    fn begin(&mut self) -> Result<Option<Frame>, Fault> {
        self.frames += 1;
        if self.frames > PARTS_MAX {
            return Err(Fault::Broken);
        }
        // A new one each time: used again, it would reserve the whole window at once.
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW_BYTES_MAX as u64);
        match decoder.init(&mut self.sent) {
            Ok(()) => Ok(Some(Frame {
                decoder,
                given: 0,
                blocks: 0,
            })),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                self.sent = self.sent.get(length..).ok_or(Fault::Broken)?;
                Ok(None)
            }
            Err(
                FrameDecoderError::WindowSizeTooBig { .. }
                | FrameDecoderError::FrameHeaderError(FrameHeaderError::WindowTooBig { .. }),
            ) => Err(Fault::TooLarge),
            Err(_) => Err(Fault::Broken),
        }
    }
}

impl Steps for Frames<'_> {
    fn step(&mut self, plain: &mut Vec<u8>) -> Result<bool, Fault> {
        let mut frame = match self.frame.take() {
            Some(frame) => frame,
            None => match self.begin()? {
                Some(frame) => frame,
                None => return Ok(self.sent.is_empty()),
            },
        };
        let sent_before = self.sent.len();
        for _ in 0..STEP_BLOCKS {
            let one = BlockDecodingStrategy::UptoBlocks(1);
            let finished = frame.decoder.decode_blocks(&mut self.sent, one);
            frame.blocks += 1;
            if finished.map_err(|_| Fault::Broken)?
                || sent_before - self.sent.len() >= STEP_SENT_BYTES
            {
                break;
            }
        }
        let given = frame.decoder.collect_to_writer(&mut *plain);
        frame.given += given.map_err(|_| Fault::Broken)?;
        if !frame.decoder.is_finished() {
            self.frame = Some(frame);
            return Ok(false);
        }
        let told = frame.decoder.content_size();
        let sum = frame.decoder.get_checksum_from_data();
        // The decoder leaves both to its user.
        let whole = (told == 0 || told == frame.given as u64)
            && (sum.is_none() || sum == frame.decoder.get_calculated_checksum());
        if whole {
            Ok(self.sent.is_empty())
        } else {
            Err(Fault::Broken)
        }
    }

    fn held_bytes(&self) -> usize {
        self.frame.as_ref().map_or(0, |frame| {
            let made_max = frame.blocks.saturating_mul(BLOCK_BYTES_MAX);
            made_max.saturating_sub(frame.given).min(WINDOW_BYTES_MAX)
        })
    }
}
