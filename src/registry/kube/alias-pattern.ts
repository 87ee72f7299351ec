import { FieldError } from "./fields.ts";

/** A pattern of host names, as `{service}.{namespace}.example.com`, in its parts (contract peering.md 2.7). */
export interface AliasPattern {
  /** As it was written. */
  readonly text: string;
  readonly parts: readonly AliasPart[];
}

export type AliasPart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "service" | "namespace" }
  | { readonly kind: "label" | "annotation"; readonly key: string };

const EXPRESSION = /^(?:(service|namespace)|(label|annotation)s\[(?:'([^'[\]{}]{1,317})'|"([^"[\]{}]{1,317})")\])$/;
/** Of a host name; letters may be capitals, as DNS has it. */
const TEXT = /^[A-Za-z0-9.-]*$/;

/** @throws FieldError naming the part that is none. */
export function aliasPatternOf(text: string, field: string): AliasPattern {
  const parts = text.split(/(\{[^{}]*\})/).filter((part) => part !== "");
  const read = parts.map((part): AliasPart => {
    if (!part.startsWith("{") || !part.endsWith("}")) {
      if (TEXT.test(part)) return { kind: "text", text: part.toLowerCase() };
      throw new FieldError(field, `has ${JSON.stringify(part.slice(0, 80))}, which no host name can hold`);
    }
    const [, name, map, single, double] = EXPRESSION.exec(part.slice(1, -1)) ?? [];
    if (name === "service" || name === "namespace") return { kind: name };
    if (map === "label" || map === "annotation") return { kind: map, key: single ?? double ?? "" };
    throw new FieldError(
      field,
      `has ${JSON.stringify(part.slice(0, 80))}; there are {service}, {namespace}, {labels['key']} and {annotations['key']}`,
    );
  });
  if (read.every(({ kind }) => kind === "text"))
    throw new FieldError(
      field,
      `is ${JSON.stringify(text.slice(0, 80))}, one name for all services; begin it with {service}`,
    );
  return { text, parts: read };
}
