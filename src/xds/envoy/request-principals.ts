import { MeshError } from "../../errors.ts";
import type { StringMatch } from "../../registry/model/policy.ts";
import { claimString } from "./jwt-claims.ts";
import { type Clause, type Principal, principals } from "./rbac-clauses.ts";

/** An issuer is a URL with a few; each is one more place where the subject may begin. */
const SLASHES_MAX = 64;

/** `<issuer>/<subject>` of a verified token. Issuers have slashes, too, so each may be the one between the two. */
export function requestPrincipal(match: StringMatch): Clause<Principal> {
  const text = match.kind === "presence" ? "" : match.value;
  const splits = splitsOf(text);
  switch (match.kind) {
    case "presence":
      return both(match, match);
    case "exact":
      return principals.some(splits.map(([iss, sub]) => both(exact(iss), exact(sub))));
    case "prefix":
      return principals.some([
        both({ kind: "prefix", value: text }, ANY),
        ...splits.map(([iss, sub]) => both(exact(iss), sub === "" ? ANY : { kind: "prefix", value: sub })),
      ]);
    case "suffix":
      return principals.some([
        both(ANY, { kind: "suffix", value: text }),
        ...splits.map(([iss, sub]) => both(iss === "" ? ANY : { kind: "suffix", value: iss }, exact(sub))),
      ]);
  }
}

const ANY: StringMatch = { kind: "presence" };
const exact = (value: string): StringMatch => ({ kind: "exact", value });

const both = (issuer: StringMatch, subject: StringMatch): Clause<Principal> =>
  principals.every([claimString("iss", issuer), claimString("sub", subject)]);

/** All ways to read `text` as two texts with a slash between them. */
function splitsOf(text: string): (readonly [string, string])[] {
  const slashes = [...text.matchAll(/\//g)].map(({ index }) => index);
  if (slashes.length > SLASHES_MAX)
    throw new MeshError("invalid", `requestPrincipals "${text.slice(0, 80)}…" has more than ${SLASHES_MAX} slashes`);
  return slashes.map((at) => [text.slice(0, at), text.slice(at + 1)]);
}
