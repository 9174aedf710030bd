//! What the JSON looks like, for programs.
//!
//! Owns the list of what goes in and comes out, by name. Driven by the test that compares it with `schema.json`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::Error;
use crate::calls::{Answer, Call};
use crate::shapes::{Approval, Command, Input, Output, Params, SignReply, SignRequest, View};

/// The JSON Schema of everything that goes in and comes out, in draft 2020-12: `$defs` has each by its name, such as
/// `Input` and `Output`.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    add::<Params>(&mut generator);
    add::<Input>(&mut generator);
    add::<Command>(&mut generator);
    add::<Output>(&mut generator);
    add::<View>(&mut generator);
    add::<SignRequest>(&mut generator);
    add::<SignReply>(&mut generator);
    add::<Approval>(&mut generator);
    add::<Call>(&mut generator);
    add::<Answer>(&mut generator);
    add::<Error>(&mut generator);
    let definitions: Map<String, Value> = generator.take_definitions(true);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nelumbo",
        "description": "What goes into a machine: Params, Input, Command; a signer: SignRequest; a call: Call. What \
                        comes out: Output, View, SignReply, Approval, Answer, Error.",
        "$defs": definitions,
    })
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    let _reference = generator.subschema_for::<T>();
}
