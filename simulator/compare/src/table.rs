//! Results with their targets, as a table while they come and as JSON in the end.

/// What a result is held to.
#[derive(Clone, Copy)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn holds(self, result: f64) -> bool {
        match self {
            Self::AtMost(most) => result <= most,
            Self::AtLeast(least) => result >= least,
        }
    }
}

struct Row {
    what: String,
    at: String,
    result: f64,
    target: Option<Bound>,
}

#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    pub fn start() -> Self {
        println!("| what | at | result | target |\n|---|---|---|---|");
        Self::default()
    }

    pub fn add(&mut self, what: &str, at: &str, result: f64, target: Option<Bound>) {
        let words = match target {
            None => String::new(),
            Some(bound) => {
                let mark = if bound.holds(result) { '✓' } else { '✗' };
                match bound {
                    Bound::AtMost(most) => format!("at most {most} {mark}"),
                    Bound::AtLeast(least) => format!("at least {least} {mark}"),
                }
            }
        };
        println!("| {what} | {at} | {result:.2} | {words} |");
        self.0.push(Row { what: what.into(), at: at.into(), result, target });
    }

    pub fn json(&self) -> String {
        let row = |Row { what, at, result, target }: &Row| {
            let (bound, holds) = match target {
                None => ("null".into(), "null".into()),
                Some(bound @ Bound::AtMost(most)) => {
                    (format!("{{\"at_most\": {most}}}"), bound.holds(*result).to_string())
                }
                Some(bound @ Bound::AtLeast(least)) => {
                    (format!("{{\"at_least\": {least}}}"), bound.holds(*result).to_string())
                }
            };
            format!(
                "{{\"what\": \"{what}\", \"at\": \"{at}\", \"result\": {result:.4}, \"target\": {bound}, \
                 \"holds\": {holds}}}"
            )
        };
        format!("[\n  {}\n]\n", self.0.iter().map(row).collect::<Vec<_>>().join(",\n  "))
    }
}
