//! Histograms of the layers of several nets.

use std::ops::Range;

use gradus::metric::{Histogram, Summary};

use super::figure::{Axis, BLUE, Figure, Mark, Panel};
use super::{Arguments, Outcome};

/// Writes `file.csv` and `file.svg`: a row of panels for each net, a panel for each layer.
pub fn show(arguments: &Arguments, file: &str, title: &str, nets: &[(String, &[(Summary, Histogram)])]) -> Outcome {
    let (mut rows, mut panels) = (Vec::new(), Vec::new());
    for (net, layers) in nets {
        for (layer, (summary, histogram)) in (1..).zip(*layers) {
            let Summary { mean, std, low, high, zero, .. } = summary;
            for (bin, count) in histogram.centers().zip(&histogram.counts) {
                rows.push(format!("{net},{layer},{mean},{std},{low},{high},{zero},{bin},{count}"));
            }
            panels.push(panel(if layer == 1 { net } else { "" }, format!("layer {layer}"), histogram));
        }
    }
    arguments.csv(&format!("{file}.csv"), "net,layer,mean,std,low,high,zero,bin,count", rows)?;
    let columns = nets.iter().map(|(_, layers)| layers.len()).max().unwrap_or(1);
    arguments.svg(&format!("{file}.svg"), &Figure::grid(title, columns, (190, 132), panels))
}

/// The bars of a histogram as one shape.
fn panel(label: &str, title: String, histogram: &Histogram) -> Panel {
    let (Range { start, end }, top) = (histogram.range.clone(), height(histogram));
    let width = (end - start) / histogram.counts.len() as f64;
    let mut points = vec![(start, 0.0)];
    for (bin, &count) in histogram.counts.iter().enumerate() {
        let (left, count) = (start + bin as f64 * width, top.min(count as f64));
        points.extend([(left, count), (left + width, count)]);
    }
    points.push((end, 0.0));
    let (x, y) = (Axis::new("").range(start, end), Axis::new(label).range(0.0, top).bare());
    Panel::new(title, x, y).with([Mark::Area { points, color: BLUE }])
}

/// Up to the highest bar, unless it leaves the others flat: ReLU's zeros would.
fn height(histogram: &Histogram) -> f64 {
    let mut counts = histogram.counts.clone();
    counts.sort_unstable();
    let [second, highest] = counts[counts.len() - 2..] else { unreachable!("at least two bins") };
    1.05 * if second > 0 { highest.min(3 * second) } else { highest.max(1) } as f64
}
