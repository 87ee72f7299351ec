import type { StringMatch } from "../../registry/model/policy.ts";
import type { envoy } from "./message.ts";
import { type StringMatcher, regexMatcher, textMatcher } from "./text-matchers.ts";

export type MetadataMatcher = envoy.type.matcher.v3.MetadataMatcher.$Properties;

/** Where the filter that verifies tokens leaves the payload of one that is good. */
const JWT_METADATA = "envoy.filters.http.jwt_authn";
export const PAYLOAD_KEY = "payload";

/** A claim that is such a text, or a list with one. */
export function claimValue(path: readonly string[], match: StringMatch): MetadataMatcher {
  const stringMatch = claimText(match);
  const valueMatchers = [{ stringMatch }, { listMatch: { oneOf: { stringMatch } } }];
  return { filter: JWT_METADATA, path: keys(path), value: { orMatch: { valueMatchers } } };
}

/** A claim that is such a text. */
export const claimString = (name: string, match: StringMatch): MetadataMatcher => ({
  filter: JWT_METADATA,
  path: keys([name]),
  value: { stringMatch: claimText(match) },
});

const keys = (path: readonly string[]) => [PAYLOAD_KEY, ...path].map((key) => ({ key }));

const claimText = (match: StringMatch): StringMatcher => textMatcher(match) ?? regexMatcher("(?s).+");
