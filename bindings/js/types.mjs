// Writes src/shapes.d.ts: the types of all JSON, from bindings/ffi/schema.json.
//
//   node types.mjs            writes it
//   node types.mjs --check    fails when it is another one
import { readFileSync, writeFileSync } from "node:fs";

const schema = JSON.parse(readFileSync(new URL("../ffi/schema.json", import.meta.url)));
const path = new URL("./src/shapes.d.ts", import.meta.url);

function comment(text, indent) {
  if (!text) return "";
  const words = text.replaceAll("*/", "").split(/\s+/);
  const lines = [""];
  for (const word of words) {
    if (indent.length + lines.at(-1).length + word.length > 112) lines.push("");
    lines[lines.length - 1] += `${lines.at(-1) && " "}${word}`;
  }
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join("")}${indent} */\n`;
}

/** What comes in may leave out what has a default; schemars says that by `default`, and by null. */
function object({ properties = {}, required = [] }, indent) {
  const fields = Object.entries(properties).map(([name, content]) => {
    const mark = required.includes(name) ? "" : "?";
    return `${comment(content.description, `${indent}  `)}${indent}  ${name}${mark}: ${type(content, `${indent}  `)};\n`;
  });
  return fields.length ? `{\n${fields.join("")}${indent}}` : "Record<string, never>";
}

function type(content, indent = "") {
  if (content === true) return "unknown";
  if (content.$ref && content.properties) return `${type({ $ref: content.$ref }, indent)} & ${object(content, indent)}`;
  if (content.$ref) return content.$ref.split("/").at(-1);
  if (content.const !== undefined) return JSON.stringify(content.const);
  if (content.enum) return content.enum.map((value) => JSON.stringify(value)).join(" | ");
  const many = content.oneOf ?? content.anyOf;
  if (many) return many.map((one) => `\n${comment(one.description, `${indent}  `)}${indent}  | ${type(one, `${indent}  `)}`).join("");
  if (Array.isArray(content.type)) return content.type.map((one) => type({ ...content, type: one }, indent)).join(" | ");
  switch (content.type) {
    case "array":
      if (content.prefixItems) return `[${content.prefixItems.map((one) => type(one, indent)).join(", ")}]`;
      return `(${type(content.items ?? true, indent)})[]`;
    case "object":
      if (content.additionalProperties && !content.properties) return `Record<string, ${type(content.additionalProperties, indent)}>`;
      return object(content, indent);
    case "integer":
      return "number";
    case undefined:
      return "unknown";
    default:
      return content.type;
  }
}

const definitions = Object.entries(schema.$defs).map(
  ([name, content]) => `${comment(content.description, "")}export type ${name} = ${type(content)};\n`,
);
const text = `// Made by types.mjs from bindings/ffi/schema.json. Bytes are hexadecimal, peers base58, times milliseconds.\n\n${definitions.join("\n")}`;
if (!process.argv.includes("--check")) writeFileSync(path, text);
else if (readFileSync(path, "utf8") !== text) {
  console.error("src/shapes.d.ts is not that of bindings/ffi/schema.json: run node types.mjs");
  process.exit(1);
}
