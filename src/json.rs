//! Numbers in JSON files, exact in every bit.

/// `f64` values in JSON: `#[serde(with = "crate::json::exact")]` on a field of type `f64`, or of an `Option`, a `Vec`,
/// a pair `(usize, _)` or a map from `String` of such types.
///
/// JSON has neither NaN nor infinities, and serde_json writes them as `null`. Here a finite value is a JSON number that
/// reads back to the same bits (the feature `float_roundtrip` of serde_json); the others are the strings `"NaN"`
/// (which reads back as `f64::NAN`, whatever its sign and payload were), `"inf"` and `"-inf"`.
///
/// serde requires a field with this attribute to be present in the file, even an `Option`, unless it also has
/// `#[serde(default)]`.
pub(crate) mod exact {
    use std::collections::BTreeMap;

    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Exact, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        value.to_json().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: Exact, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::Json::deserialize(deserializer).map(T::from_json)
    }

    /// A type whose numbers are `f64`, and the type that stands for it in JSON.
    pub(crate) trait Exact {
        type Json: Serialize + DeserializeOwned;
        fn to_json(&self) -> Self::Json;
        fn from_json(json: Self::Json) -> Self;
    }

    /// A JSON number, or one of three strings.
    #[derive(Serialize, Deserialize)]
    #[serde(untagged, expecting = "expected a number, \"NaN\", \"inf\" or \"-inf\"")]
    pub(crate) enum Number {
        Finite(f64),
        NotFinite(NotFinite),
    }

    #[derive(Serialize, Deserialize)]
    pub(crate) enum NotFinite {
        NaN,
        #[serde(rename = "inf")]
        Infinity,
        #[serde(rename = "-inf")]
        NegInfinity,
    }

    impl Exact for f64 {
        type Json = Number;

        fn to_json(&self) -> Number {
            match *self {
                value if value.is_finite() => Number::Finite(value),
                value if value.is_nan() => Number::NotFinite(NotFinite::NaN),
                value if value > 0.0 => Number::NotFinite(NotFinite::Infinity),
                _ => Number::NotFinite(NotFinite::NegInfinity),
            }
        }

        fn from_json(json: Number) -> Self {
            match json {
                Number::Finite(value) => value,
                Number::NotFinite(NotFinite::NaN) => f64::NAN,
                Number::NotFinite(NotFinite::Infinity) => f64::INFINITY,
                Number::NotFinite(NotFinite::NegInfinity) => f64::NEG_INFINITY,
            }
        }
    }

    impl<T: Exact> Exact for Option<T> {
        type Json = Option<T::Json>;

        fn to_json(&self) -> Self::Json {
            self.as_ref().map(T::to_json)
        }

        fn from_json(json: Self::Json) -> Self {
            json.map(T::from_json)
        }
    }

    impl<T: Exact> Exact for Vec<T> {
        type Json = Vec<T::Json>;

        fn to_json(&self) -> Self::Json {
            self.iter().map(T::to_json).collect()
        }

        fn from_json(json: Self::Json) -> Self {
            json.into_iter().map(T::from_json).collect()
        }
    }

    impl<T: Exact> Exact for (usize, T) {
        type Json = (usize, T::Json);

        fn to_json(&self) -> Self::Json {
            (self.0, self.1.to_json())
        }

        fn from_json(json: Self::Json) -> Self {
            (json.0, T::from_json(json.1))
        }
    }

    impl<T: Exact> Exact for BTreeMap<String, T> {
        type Json = BTreeMap<String, T::Json>;

        fn to_json(&self) -> Self::Json {
            self.iter().map(|(name, value)| (name.clone(), value.to_json())).collect()
        }

        fn from_json(json: Self::Json) -> Self {
            json.into_iter().map(|(name, value)| (name, T::from_json(value))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Record {
        #[serde(with = "super::exact")]
        value: f64,
        #[serde(with = "super::exact")]
        optional: Option<f64>,
        #[serde(with = "super::exact")]
        curves: BTreeMap<String, Vec<(usize, f64)>>,
    }

    fn record(value: f64, optional: Option<f64>) -> Record {
        Record { value, optional, curves: BTreeMap::from([("a".to_string(), vec![(3, value), (4, -value)])]) }
    }

    #[test]
    fn every_number_reads_back_to_the_same_bits() {
        let special =
            [0.0, -0.0, f64::MIN_POSITIVE, f64::MIN_POSITIVE / 3.0, f64::from_bits(1), f64::MAX, f64::EPSILON];
        let decimal = [0.1 + 0.2, 1.0 / 3.0, 1e16, 1e23, 9_007_199_254_740_993.0, 5e-324, f64::INFINITY, f64::NAN];
        // Bit patterns of all exponents, each of the finite ones once.
        let patterns = (0..2047u64).map(|exponent| f64::from_bits((exponent << 52) | (exponent * 0x1_0001_0001)));
        for value in special.into_iter().chain(decimal).chain(patterns) {
            for value in [value, -value] {
                let text = serde_json::to_string(&record(value, Some(value))).unwrap();
                let read: Record = serde_json::from_str(&text).unwrap();
                let curve = &read.curves["a"];
                assert_eq!((curve[0].0, curve[1].0), (3, 4));
                for (read, value) in
                    [(read.value, value), (read.optional.unwrap(), value), (curve[0].1, value), (curve[1].1, -value)]
                {
                    assert!(read.to_bits() == value.to_bits() || read.is_nan() && value.is_nan(), "{value} in {text}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_json_numbers_and_the_others_strings() {
        let text = |value, optional| serde_json::to_string(&record(value, optional)).unwrap();
        assert_eq!(text(-0.0, None), r#"{"value":-0.0,"optional":null,"curves":{"a":[[3,-0.0],[4,0.0]]}}"#);
        assert_eq!(
            text(f64::INFINITY, Some(f64::NAN)),
            r#"{"value":"inf","optional":"NaN","curves":{"a":[[3,"inf"],[4,"-inf"]]}}"#
        );
    }

    #[test]
    fn only_numbers_and_these_strings_are_read() {
        let read = |value: &str| {
            let text = format!(r#"{{"value":{value},"optional":null,"curves":{{}}}}"#);
            serde_json::from_str::<Record>(&text).map(|record| record.value)
        };
        assert_eq!(read("3").unwrap(), 3.0);
        assert_eq!(read("-3").unwrap(), -3.0);
        for refused in ["null", "\"nan\"", "\"1.5\"", "[1.5]", "true", "{}"] {
            let error = read(refused).unwrap_err().to_string();
            assert!(error.starts_with("expected a number, \"NaN\", \"inf\" or \"-inf\""), "{refused}: {error}");
        }
        assert!(read("1e999").is_err(), "out of the range of f64");
    }
}
