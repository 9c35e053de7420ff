//! Line charts as SVG, for pages and files.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::plot::{
    COLOURS, FAINT, INK, number, padded_range, text_style, undrawable, whole_number,
};
use crate::{Error, Result};

/// One line of a chart.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Its name in the legend; none where empty.
    pub(crate) name: String,
    /// The points, left to right.
    pub(crate) points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub(crate) stroke: Stroke,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stroke {
    /// In the colour of this number, and of a width in pixels.
    Solid(usize, u32),
    /// Dashed, in the colour of this number.
    Dashed(usize),
    /// Dashed, in the colour of text.
    Limit,
}

/// A chart of lines over one axis.
#[derive(Debug, Clone)]
pub(crate) struct Chart<'a> {
    /// Over the chart.
    pub(crate) title: &'a str,
    /// Under the horizontal axis.
    pub(crate) x: &'a str,
    /// Beside the vertical axis.
    pub(crate) y: &'a str,
    /// Range of the horizontal axis, else that of the points.
    pub(crate) x_range: Option<(f64, f64)>,
    /// Range of the vertical axis, else that of the points; points beyond are drawn at its edge.
    pub(crate) y_range: Option<(f64, f64)>,
    /// The lines, the first one below.
    pub(crate) lines: Vec<Line>,
}

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An SVG document with a white ground, drawn by `draw`.
pub(crate) fn document(
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Result<()>,
) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE).map_err(undrawable)?;
        draw(&root)?;
        root.present().map_err(undrawable)?;
    }
    Ok(text)
}

/// An SVG element for a page: without a ground, as wide as its place, read out as `label`.
pub(crate) fn inline(
    size: (u32, u32),
    label: &str,
    draw: impl FnOnce(&Area<'_>) -> Result<()>,
) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&root)?;
        root.present().map_err(undrawable)?;
    }
    let Some((_, body)) = text.split_once('>') else {
        return Err(Error::failed("a chart has no beginning"));
    };
    let label = label
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;");
    let (width, height) = size;
    Ok(format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">{body}"
    ))
}

impl Chart<'_> {
    /// Draws the chart over an area.
    pub(crate) fn draw(&self, area: &Area<'_>) -> Result<()> {
        let area = self.titled(area)?;
        let values = || self.lines.iter().flat_map(|line| &line.points);
        if values().any(|(x, y)| !x.is_finite() || !y.is_finite()) {
            return Err(undrawable(format!(
                "{}: a value is not a number",
                self.title
            )));
        }
        let (x0, x1) = self.x_range.unwrap_or_else(|| {
            let xs = || values().map(|(x, _)| *x);
            let (low, high) = (xs().fold(f64::MAX, f64::min), xs().fold(f64::MIN, f64::max));
            if low < high {
                (low, high)
            } else if values().next().is_some() {
                (low - 0.5, high + 0.5)
            } else {
                (0.0, 1.0)
            }
        });
        let (y0, y1) = self.y_range.unwrap_or_else(|| {
            if values().next().is_some() {
                padded_range(values().map(|(_, y)| *y))
            } else {
                (0.0, 1.0)
            }
        });
        // Room for the legend above the lines.
        let named = self.lines.iter().filter(|line| !line.name.is_empty());
        let legend = named.count() as f64 * 20.0 / f64::from(area.dim_in_pixel().1.max(1));
        let y1 = match self.y_range {
            None => y0 + (y1 - y0) / (1.0 - legend.min(0.5)),
            Some(_) => y1,
        };
        let mut chart = ChartBuilder::on(&area)
            .margin_right(12)
            .margin_top(4)
            .x_label_area_size(40)
            .y_label_area_size(62)
            .build_cartesian_2d(x0..x1, y0..y1)
            .map_err(undrawable)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(FAINT.mix(0.0))
            .bold_line_style(FAINT)
            .axis_style(INK)
            .label_style(text_style(14))
            .axis_desc_style(text_style(14))
            .x_desc(self.x)
            .y_desc(self.y)
            .x_labels(6)
            .x_label_formatter(&whole_number)
            .y_labels(5)
            .y_label_formatter(&number(y0, y1))
            .draw()
            .map_err(undrawable)?;
        for line in &self.lines {
            let inside = line.points.iter().map(|(x, y)| (*x, y.clamp(y0, y1)));
            let (colour, width) = match line.stroke {
                Stroke::Solid(colour, width) => (COLOURS[colour % COLOURS.len()], width),
                Stroke::Dashed(colour) => (COLOURS[colour % COLOURS.len()], 2),
                Stroke::Limit => (INK, 1),
            };
            let style = colour.stroke_width(width);
            let series = if matches!(line.stroke, Stroke::Solid(..)) && line.points.len() == 1 {
                let dots = inside.map(|point| Circle::new(point, 3, colour.filled()));
                chart.draw_series(dots)
            } else if matches!(line.stroke, Stroke::Solid(..)) {
                chart.draw_series(LineSeries::new(inside, style))
            } else {
                chart.draw_series(DashedLineSeries::new(inside, 6, 5, style))
            };
            let series = series.map_err(undrawable)?;
            if !line.name.is_empty() {
                series
                    .label(line.name.clone())
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
            }
        }
        if self.lines.iter().any(|line| !line.name.is_empty()) {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .legend_area_size(30)
                .margin(4)
                .label_font(text_style(14))
                .draw()
                .map_err(undrawable)?;
        }
        Ok(())
    }

    fn titled<'b>(&self, area: &Area<'b>) -> Result<Area<'b>> {
        if self.title.is_empty() {
            return Ok(area.clone());
        }
        let (head, body) = area.split_vertically(26);
        let middle = (head.dim_in_pixel().0 / 2) as i32;
        let style = text_style(16).pos(Pos::new(HPos::Center, VPos::Center));
        head.draw_text(self.title, &style, (middle, 13))
            .map_err(undrawable)?;
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Result<String> {
        let line = Line {
            name: "a <line>".into(),
            points,
            stroke: Stroke::Solid(0, 2),
        };
        let chart = Chart {
            title: "Title",
            x: "across",
            y: "up",
            x_range: None,
            y_range: None,
            lines: vec![line],
        };
        inline((400, 300), "says \"what\" <it> shows", |area| {
            chart.draw(area)
        })
    }

    #[test]
    fn names_are_escaped_and_nothing_points_elsewhere() -> Result<()> {
        let text = chart(vec![(0.0, 1.0), (1.0, 3.0)])?;
        assert!(text.contains("a &lt;line&gt;"), "{text}");
        assert!(
            text.contains("says &quot;what&quot; &lt;it> shows"),
            "{text}"
        );
        assert!(!text.contains("http"), "{text}");
        Ok(())
    }

    #[test]
    fn few_points_are_drawn_and_no_numbers_refused() -> Result<()> {
        chart(Vec::new())?;
        assert!(chart(vec![(1.0, 2.0)])?.contains("<circle"));
        let error = chart(vec![(1.0, f64::NAN)]).unwrap_err().to_string();
        assert!(error.contains("not a number"), "{error}");
        Ok(())
    }
}
