//! Reports of gradient checks beside one another.

use gradus::check::Report;

use super::figure::{Axis, Figure, Mark, PALETTE, Panel};
use super::{Arguments, Outcome, Table};

/// Prints, writes and draws the largest relative error of every parameter in every report.
pub fn show(arguments: &Arguments, file: &str, reports: &[(&str, Report)]) -> Outcome {
    let names = || reports.iter().map(|(name, _)| *name);
    let mut table = Table::new(["largest relative error of"].into_iter().chain(names()));
    let (mut lines, mut marks, count) = (Vec::new(), Vec::new(), reports[0].1.rows.len());
    for i in 0..count {
        let (parameter, height) = (&reports[0].1.rows[i].parameter, -(i as f64));
        marks.push(Mark::Note { at: (3e-20, height), text: parameter.clone() });
        for ((name, report), color) in reports.iter().zip(PALETTE) {
            let error = report.rows[i].max_rel;
            lines.push(format!("{name},{parameter},{},{error}", report.rows[i].max_abs));
            marks.push(Mark::dots([(error.max(1e-16), height)], color));
        }
        let errors = reports.iter().map(|(_, report)| format!("{:.1e}", report.rows[i].max_rel));
        table.row([parameter.clone()].into_iter().chain(errors));
    }
    println!("{table}\n{} in full:\n\n{}", reports[0].0, reports[0].1);
    arguments.csv(&format!("{file}.csv"), "check,parameter,max_abs_error,max_rel_error", lines)?;
    let x = Axis::new("largest relative error (1e-16 stands for less, too)").range(2e-20, 10.0).log();
    let y = Axis::new("").range(-(count as f64), 1.0).bare();
    let figure = Figure::single("Backpropagation against numerical gradients", Panel::new("", x, y).with(marks));
    arguments.svg(&format!("{file}.svg"), &figure.legend(names().zip(PALETTE)))
}
