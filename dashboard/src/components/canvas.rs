//! The browser's canvas as a pen. Colours are the style sheet's, read anew with every drawing, so a
//! change of theme needs nothing but a redraw.

use leptos::prelude::window;
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, CssStyleDeclaration, HtmlCanvasElement};

use crate::chart::frame::{Frame, LEFT};
use crate::chart::pen::{Ink, Pen};
use crate::chart::picture::Picture;

struct Brush<'a> {
    context: &'a CanvasRenderingContext2d,
    style: &'a CssStyleDeclaration,
    /// Pixels of the screen in one of the page.
    ratio: f64,
    /// Left, top, right and bottom of what waits for its ink, in pixels of the screen.
    rects: Vec<(f64, f64, f64, f64)>,
    /// Whether a path waits as well.
    traced: bool,
}

impl Brush<'_> {
    /// The colour's place in a list of the style sheet, and how much of it shows.
    fn colour(&self, ink: Ink) -> (String, f64) {
        let (name, at, alpha) = match ink {
            Ink::Line => ("--accent", 0, 1.0),
            Ink::Inner => ("--accent", 0, 0.4),
            Ink::Outer => ("--accent", 0, 0.22),
            Ink::Smoke => ("--text-3", 0, 0.17),
            Ink::Good => ("--accent", 0, 1.0),
            Ink::Calm => ("--up", 0, 0.38),
            Ink::Worse => ("--degraded", 0, 1.0),
            Ink::Bad => ("--down", 0, 1.0),
            Ink::Heat(level) => ("--heat", usize::from(level), 1.0),
            Ink::Subject(_) => ("--subject-", 0, 1.0),
        };
        let name = match ink {
            Ink::Subject(subject) => format!("{name}{subject}"),
            _ => name.to_owned(),
        };
        let value = self.style.get_property_value(&name).unwrap_or_default();
        let colour = value.split(',').nth(at).unwrap_or_default().trim();
        (colour.to_owned(), alpha)
    }
}

impl Pen for Brush<'_> {
    fn move_to(&mut self, x: f64, y: f64) {
        self.traced = true;
        self.context.move_to(x, y);
    }

    fn line_to(&mut self, x: f64, y: f64) {
        self.context.line_to(x, y);
    }

    /// On whole pixels, so that neighbours neither overlap nor leave a seam.
    fn rect(&mut self, x: f64, y: f64, width: f64, height: f64) {
        let snap = |at: f64| (at * self.ratio).round();
        let (left, top) = (snap(x), snap(y));
        let (right, bottom) = (
            snap(x + width).max(left + 1.0),
            snap(y + height).max(top + 1.0),
        );
        self.rects.push((left, top, right, bottom));
    }

    /// Rectangles one by one: as a path they are filled ten times slower.
    fn fill(&mut self, ink: Ink) {
        let (colour, alpha) = self.colour(ink);
        self.context.set_fill_style_str(&colour);
        self.context.set_global_alpha(alpha);
        for (left, top, right, bottom) in self.rects.drain(..) {
            let [left, top, right, bottom] = [left, top, right, bottom].map(|at| at / self.ratio);
            self.context
                .fill_rect(left, top, right - left, bottom - top);
        }
        if std::mem::take(&mut self.traced) {
            self.context.fill();
            self.context.begin_path();
        }
    }

    fn stroke(&mut self, ink: Ink, width_px: f64) {
        let (colour, alpha) = self.colour(ink);
        self.context.set_stroke_style_str(&colour);
        self.context.set_global_alpha(alpha);
        self.context.set_line_width(width_px);
        self.context.set_line_join("round");
        self.context.stroke();
        self.context.begin_path();
        self.traced = false;
    }
}

/// Draws anew, at the screen's own resolution. A browser without a canvas shows the axes alone.
pub(crate) fn paint(canvas: &HtmlCanvasElement, picture: Option<&Picture>, frame: Frame) {
    let context = canvas.get_context("2d").ok().flatten();
    let context = context.and_then(|it| it.dyn_into::<CanvasRenderingContext2d>().ok());
    let style = window().get_computed_style(canvas).ok().flatten();
    let (Some(context), Some(style)) = (context, style) else {
        return;
    };
    let ratio = window().device_pixel_ratio().clamp(1.0, 4.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a screen's width"
    )]
    let pixels = |length: f64| (length * ratio).round() as u32;
    let (width, height) = (pixels(frame.width), pixels(frame.height));
    if canvas.width() != width || canvas.height() != height {
        canvas.set_width(width);
        canvas.set_height(height);
    }
    context.save();
    // Refused only for numbers that are none.
    drop(context.scale(ratio, ratio));
    context.clear_rect(0.0, 0.0, frame.width, frame.height);
    context.begin_path();
    let (right, top, bottom) = (frame.right(), frame.top(), frame.bottom());
    // A line on the edge of the plot keeps its width.
    // On whole pixels: a softened edge would slow down all that is drawn inside.
    let snap = |at: f64| (at * ratio).round() / ratio;
    let (left, right) = (snap(LEFT), snap(right));
    let (top, bottom) = (snap(top - 1.0), snap(bottom + 1.0));
    context.rect(left, top, right - left, bottom - top);
    context.clip();
    context.begin_path();
    if let Some(picture) = picture {
        let mut brush = Brush {
            context: &context,
            style: &style,
            ratio,
            rects: Vec::new(),
            traced: false,
        };
        picture.draw(frame, &mut brush);
    }
    context.restore();
}
