//! What ranks tell one another before they go on: that none has failed, and that all are about to do the same.

use super::Collective;
use crate::error::Error;

/// `own`, if no rank has failed; else the error of the first that has.
pub(crate) fn agree<T>(ranks: &dyn Collective, own: Result<T, Error>) -> Result<T, Error> {
    let (rank, size) = (ranks.rank(), ranks.size());
    let (mut failed, mut all) = (vec![0.0; size], vec![0.0; size]);
    failed[rank] = f64::from(u8::from(own.is_err()));
    ranks.sum_f64(&failed, &mut all);
    let Some(first) = all.iter().position(|&failed| failed > 0.0) else { return own };
    let mut problem = own.as_ref().err().map(|error| error.to_string().into_bytes()).unwrap_or_default();
    ranks.broadcast(first, &mut problem);
    match own {
        Err(error) if rank == first => Err(error),
        _ => Err(Error::Rank { rank: first, problem: String::from_utf8_lossy(&problem).into_owned() }),
    }
}

/// Fails on every rank where one has another value of something than rank 0, or has more or fewer things.
pub(crate) fn expect_same(ranks: &dyn Collective, own: &[(String, String)]) -> Result<(), Error> {
    let lines = |own: &[(String, String)]| {
        own.iter().map(|(name, value)| format!("{name}: {}", value.escape_debug())).collect::<Vec<_>>().join("\n")
    };
    let own = lines(own);
    let mut first = own.clone().into_bytes();
    ranks.broadcast(0, &mut first);
    let first = String::from_utf8_lossy(&first);
    let invalid = |expected: &str, found: &str| Err(Error::invalid(format!("rank {}", ranks.rank()), expected, found));
    let result = match own.lines().zip(first.lines()).find(|(own, first)| own != first) {
        Some((own, first)) => invalid(&format!("{first}, as rank 0 has"), own),
        None if own.len() != first.len() => invalid("as much as rank 0 has", "more, or less"),
        None => Ok(()),
    };
    agree(ranks, result)
}
