use std::fmt::{self, Debug, Display};

use super::{Sequential, count};
use crate::layer::Layer;
use crate::scalar::Scalar;

impl<F: Scalar> Display for Sequential<F> {
    /// A table: place, layer, output width, number of parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths().map_err(|_| fmt::Error)?;
        writeln!(f, "{:>3}  {:<16} {:>8} {:>12}", "", "layer", "output", "parameters")?;
        writeln!(f, "{:>3}  {:<16} {:>8} {:>12}", "", "(input)", self.input, "")?;
        for (i, (layer, width)) in self.layers.iter().zip(widths).enumerate() {
            // A network inside this one tells in its name what is in it; a table has room for the kind only.
            let name = layer.name();
            let kind = name.split('(').next().unwrap_or_default();
            writeln!(f, "{i:>3}  {kind:<16} {width:>8} {:>12}", count(&**layer))?;
        }
        write!(f, "{:>3}  {:<16} {:>8} {:>12}", "", "total", "", count(self))
    }
}

impl<F: Scalar> Debug for Sequential<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sequential({}", self.input)?;
        for (layer, width) in self.layers.iter().zip(self.widths().map_err(|_| fmt::Error)?) {
            write!(f, " > {} {width}", layer.name())?;
        }
        f.write_str(")")
    }
}
