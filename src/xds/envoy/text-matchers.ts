import type { StringMatch } from "../../registry/model/policy.ts";
import type { envoy } from "./message.ts";

export type StringMatcher = envoy.type.matcher.v3.StringMatcher.$Properties;

/** `text` as RE2 takes it literally. */
export const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");

/** RE2, and the whole text. */
export const regexMatcher = (regex: string): StringMatcher => ({ safeRegex: { regex } });

/** Undefined if anything but the empty text matches. */
export function textMatcher(match: StringMatch): StringMatcher | undefined {
  // Envoy refuses them as prefixes and suffixes; all texts begin and end so.
  if (match.kind !== "presence" && match.kind !== "exact" && match.value === "") return regexMatcher("(?s).*");
  switch (match.kind) {
    case "exact":
      return { exact: match.value };
    case "prefix":
      return { prefix: match.value };
    case "suffix":
      return { suffix: match.value };
    case "presence":
      return undefined;
  }
}

/** A regex of what `match` means for a text of which each letter is one of `letters`, as `[^/]`. */
export function patternOf(match: StringMatch, letters: string): string {
  switch (match.kind) {
    case "exact":
      return literal(match.value);
    case "prefix":
      return `${literal(match.value)}${letters}*`;
    case "suffix":
      return `${letters}*${literal(match.value)}`;
    case "presence":
      return `${letters}+`;
  }
}
