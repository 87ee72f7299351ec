import type { TokenRule } from "../model/proxy-policies.ts";
import { isTargeted, targetsOf, tolerantSpec, type PolicyTarget, type Unread } from "./authorization-policy.ts";
import { FieldError, isFields, listOf, type Fields } from "./fields.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";
import { readStatus, type ObjectStatus } from "./object-status.ts";
import { attempt } from "./route.ts";
import { ISSUER_MAX, readTokenRule, refusedRule, type ReadToken } from "./token-rule.ts";

/** Whose tokens are checked, as written. */
export interface RequestAuthentication {
  readonly id: ObjectId;
  /** True if it is for a waypoint; nobody else here reads tokens. */
  readonly targeted: boolean;
  /** As many of these as could be read. */
  readonly targets: readonly PolicyTarget[];
  /** True if some could not: then it is for all that a policy of its namespace may name. */
  readonly targetsLost: boolean;
  /** In the order in which they are written; one that cannot be used refuses the tokens of its issuer. */
  readonly rules: readonly TokenRule[];
  /** What was refused. */
  readonly errors: readonly Unread[];
  readonly status: ObjectStatus | undefined;
}

const SPEC_FIELDS = ["jwtRules", "selector", "targetRef", "targetRefs"];
const RULES_MAX = 1_000;

/** @throws FieldError for what cannot be read: what was said before then stays in force. */
export function readRequestAuthentication(metadata: Metadata, object: Fields): RequestAuthentication {
  const unread: Unread[] = [];
  const read = readAll(metadata, object, unread, readTokenRule);
  if (unread[0] !== undefined) throw new FieldError(unread[0].field, unread[0].message);
  return read;
}

/** What holds of one that never could be read: it takes no tokens of the issuers that it names, wherever it may belong. */
export function readDoubtfulRequestAuthentication(bare: Metadata, object: Fields): RequestAuthentication {
  const unread: Unread[] = [];
  const read = readAll(bare, object, unread, (item, field) => {
    const issuer = isFields(item) ? item["issuer"] : undefined;
    if (typeof issuer !== "string" || issuer === "" || issuer.length > ISSUER_MAX)
      throw new FieldError(`${field}.issuer`, "cannot be read");
    return { rule: refusedRule(issuer), refused: undefined };
  });
  return { ...read, errors: [...unread, ...read.errors] };
}

function readAll(
  metadata: Metadata,
  object: Fields,
  unread: Unread[],
  ruleOf: (item: unknown, field: string) => ReadToken,
): RequestAuthentication {
  const spec = tolerantSpec(object, SPEC_FIELDS, unread);
  const targeted = isTargeted(spec, unread);
  const targets = targetsOf(spec, unread);
  const targetsLost = unread.some(({ field }) => field.startsWith("spec.targetRef"));
  const found = rulesOf(spec["jwtRules"], unread, ruleOf);
  return {
    id: idOf(metadata),
    targeted: targeted || targetsLost,
    targets,
    targetsLost,
    rules: found.map(({ rule }) => rule),
    errors: found.flatMap(({ refused }) => refused ?? []),
    status: readStatus(metadata, object),
  };
}

function rulesOf(
  value: unknown,
  unread: Unread[],
  ruleOf: (item: unknown, field: string) => ReadToken,
): readonly ReadToken[] {
  const items = attempt(unread, () => listOf(value, "spec.jwtRules", RULES_MAX)) ?? [];
  return items.flatMap((item, at) => attempt(unread, () => ruleOf(item, `spec.jwtRules[${at}]`)) ?? []);
}
