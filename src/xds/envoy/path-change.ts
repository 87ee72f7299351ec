import type { HttpRule, PathChange } from "../../registry/model/http-rule.ts";
import { refuse } from "./encodable.ts";
import { prefixOf } from "./http-match.ts";
import type { envoy } from "./message.ts";
import { literal } from "./text-matchers.ts";

/** Two of the fields that rewrites and redirects share. */
export interface EncodedPathChange {
  readonly prefixRewrite?: string;
  readonly regexRewrite?: envoy.type.matcher.v3.RegexMatchAndSubstitute.$Properties;
}

/**
 * The query is kept. A prefix gives way segment by segment: with `/a` to `/`, `/a/b` becomes `/b`, and `/a` becomes `/`;
 * Envoy, which replaces letters, would make `//b` of it, and of `/b` with `/` to `/x` it would make `/xb`.
 */
export function pathChange(change: PathChange | undefined, rule: HttpRule): EncodedPathChange {
  if (change === undefined) return {};
  const { kind, value } = change;
  if (!/^(\/[^?#\x00-\x20\x7f]*)?$/.test(value))
    refuse(
      rule,
      `its new path ${JSON.stringify(value.slice(0, 80))}`,
      `must begin with "/" and hold no space, "?" or "#"`,
    );
  if (kind === "full") return substitution("^.*$", value === "" ? "/" : value);
  const match = rule.match.path;
  if (match !== undefined && match.kind !== "prefix")
    refuse(rule, "its new path", `replaces a prefix, but its match is of the kind ${match.kind}`);
  const [from, to] = [prefixOf(match?.value ?? "/"), prefixOf(value)];
  if (from === "") return { prefixRewrite: `${to}/` };
  return to === "" ? substitution(`^${literal(from)}/?`, "/") : { prefixRewrite: to };
}

const substitution = (regex: string, text: string): EncodedPathChange => ({
  regexRewrite: { pattern: { regex }, substitution: text.replaceAll("\\", "\\\\") },
});
