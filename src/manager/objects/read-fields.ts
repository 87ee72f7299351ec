import { describe, FieldError, isAbsent, isFields, textOf, type Fields } from "../../registry/kube/fields.ts";
import { onlyFieldsOf } from "../../registry/kube/service-scope.ts";
import type { ObjectName } from "../policy.ts";

const NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const NAMESPACE = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

/**
 * A map of the fields `names`, and no others.
 * @param unsupported what others have here and we have not, with the reason and the way out.
 * @throws FieldError
 */
export function supportedFieldsOf(
  value: unknown,
  field: string,
  names: readonly string[],
  unsupported: Readonly<Record<string, string>> = {},
): Fields {
  if (isAbsent(value)) throw new FieldError(field, `is missing; it is a map of ${names.join(", ")}`);
  if (isFields(value))
    for (const [name, why] of Object.entries(unsupported))
      if (!isAbsent(value[name])) throw new FieldError(`${field}.${name}`, `is not supported: ${why}`);
  return onlyFieldsOf(value, field, names);
}

/** Which of `names` is there. @throws FieldError for none, and for several. */
export function onlyOneOf<Name extends string>(fields: Fields, field: string, names: readonly Name[]): Name {
  const said = names.filter((name) => !isAbsent(fields[name]));
  if (said.length === 1) return said[0]!;
  const which = names.join(" and ");
  throw new FieldError(
    field,
    said.length === 0 ? `needs one of ${which}` : `has ${said.join(" and ")}; keep one of ${which}`,
  );
}

/** @throws FieldError for what is missing, empty, or does not match. */
export function matchingText(value: unknown, field: string, pattern: RegExp, charsMax: number, fix: string): string {
  const text = textOf(value, field, charsMax);
  if (text !== "" && pattern.test(text)) return text;
  throw new FieldError(field, text === "" ? `is missing; ${fix}` : `is ${describe(text)}; ${fix}`);
}

/** @param namespace of the object that refers to it, where none is said. @throws FieldError */
export function objectNameOf(value: unknown, field: string, namespace: string): ObjectName {
  const fields = supportedFieldsOf(value, field, ["name", "namespace"]);
  const name = matchingText(fields["name"], `${field}.name`, NAME, 253, "give the name of an object, as shared-ca");
  if (isAbsent(fields["namespace"])) return { namespace, name };
  const fix = "give a namespace, as gloo-mesh, or leave it out for this one";
  return { namespace: matchingText(fields["namespace"], `${field}.namespace`, NAMESPACE, 63, fix), name };
}
