// What a schema says, in words and rows. Schemas are those of the document: references, oneOf, objects, lists, plain types.

const NAMES = { string: "text", integer: "whole number", number: "number", boolean: "true or false", null: "null" };

/** Follow a reference; what stands beside it (a description) wins over what it leads to. */
export function resolve(document, schema) {
  if (!schema.$ref) return schema;
  const target = schema.$ref.slice(2).split("/").reduce((at, name) => at[name], document);
  return { ...resolve(document, target), ...schema, $ref: undefined };
}

/** Tell a type in words. */
export function typeOf(document, schema) {
  const plain = resolve(document, schema);
  if (plain.oneOf && !plain.type) {
    // null counts as left out, here as everywhere.
    const choices = plain.oneOf.filter((choice) => choice.type !== "null");
    return [...new Set(choices.map((choice) => typeOf(document, choice)))].join(" or ");
  }
  if (plain.enum) return plain.enum.join(" or ");
  if (plain.type === "array") return `list of ${typeOf(document, plain.items)}`;
  if (plain.type === "object") {
    return plain.additionalProperties?.constructor === Object && !plain.properties
      ? `map to ${typeOf(document, plain.additionalProperties)}`
      : "object";
  }
  return NAMES[plain.type] ?? "any JSON";
}

/** Tell the rows of an object: every field with its path, and those of the objects inside it. */
export function rowsOf(document, schema, path = "", above = []) {
  const plain = resolve(document, schema);
  return Object.entries(plain.properties ?? {}).flatMap(([name, field]) => {
    const known = resolve(document, field);
    const row = {
      path: path + name,
      type: typeOf(document, field),
      isRequired: (plain.required ?? []).includes(name),
      text: sayField(known, field),
    };
    const [inner, step] = innerOf(document, field);
    const isNew = inner && !above.includes(inner);
    return isNew ? [row, ...rowsOf(document, inner, `${path}${name}${step}.`, [...above, inner])] : [row];
  });
}

function sayField(known, field) {
  const said = [known.description ?? ""];
  if (known.default !== undefined && field.default !== undefined) said.push(`Default ${JSON.stringify(known.default)}.`);
  return said.filter(Boolean).join(" ");
}

/** Find the object that a field holds, or holds many of, and how its fields are reached. */
function innerOf(document, schema) {
  const plain = resolve(document, schema);
  const choice = (plain.oneOf ?? []).map((each) => resolve(document, each)).find((each) => each.type === "object");
  if (plain.type === "array") return deeper(document, plain.items, "[]");
  if (plain.type === "object" && !plain.properties) return deeper(document, plain.additionalProperties, ".*");
  const target = choice ?? plain;
  return target.properties ? [target, ""] : [null, ""];
}

function deeper(document, schema, step) {
  if (!schema || schema.constructor !== Object) return [null, ""];
  const [inner, further] = innerOf(document, schema);
  return [inner, step + further];
}

/** Find the schema of a method's result inside its answer. */
export function resultOf(document, answer) {
  const choices = (answer.oneOf ?? []).map((choice) => resolve(document, choice));
  return choices.find((choice) => choice.properties?.result)?.properties.result ?? answer;
}
