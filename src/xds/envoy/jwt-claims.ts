import type { StringMatch } from "../../registry/model/policy.ts";
import protobuf from "protobufjs/minimal.js";
import { envoy } from "./message.ts";
import type { Principal } from "./rbac-clauses.ts";
import { type StringMatcher, regexMatcher, textMatcher } from "./text-matchers.ts";

type MetadataMatcher = envoy.type.matcher.v3.MetadataMatcher.$Properties;

/** Where the filter that verifies tokens leaves the payload of one that is good. */
const JWT_METADATA = "envoy.filters.http.jwt_authn";
export const PAYLOAD_KEY = "payload";

/** A claim that is such a text, or a list with one. */
export function claimValue(path: readonly string[], match: StringMatch): Principal {
  const stringMatch = claimText(match);
  const valueMatchers = [{ stringMatch }, { listMatch: { oneOf: { stringMatch } } }];
  return metadata({ filter: JWT_METADATA, path: keys(path), value: { orMatch: { valueMatchers } } });
}

/** A claim that is such a text. */
export const claimString = (name: string, match: StringMatch): Principal =>
  metadata({
    filter: JWT_METADATA,
    path: keys([name]),
    value: { stringMatch: claimText(match) },
  });

/** As field 13, `sourced_metadata`, whose field 1 is a matcher: younger than our definitions, whose `metadata` is going. */
function metadata(matcher: MetadataMatcher): Principal {
  const writer = protobuf.Writer.create().uint32(0x6a).fork();
  envoy.type.matcher.v3.MetadataMatcher.encode(matcher, writer.uint32(0x0a).fork()).ldelim();
  return { $unknowns: [writer.ldelim().finish()] };
}

const keys = (path: readonly string[]) => [PAYLOAD_KEY, ...path].map((key) => ({ key }));

const claimText = (match: StringMatch): StringMatcher => textMatcher(match) ?? regexMatcher("(?s).+");
