import { FieldError, fieldsOf, isFields, type Fields } from "./fields.ts";
import { selectorOf, type Selector } from "./labels.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";

/**
 * A policy as written. Rules stay raw: one that cannot be read must not make the policy vanish, since a policy that is
 * missing allows (contract ztunnel.md 6.7). The compiler closes what it cannot read.
 */
export interface AuthorizationPolicy {
  readonly id: ObjectId;
  readonly action: string;
  readonly dryRun: boolean;
  /** True if it is for a waypoint, not for ztunnels. */
  readonly targeted: boolean;
  readonly selector: Selector | undefined;
  /** Why the selector could not be read; the policy then binds more workloads rather than fewer. */
  readonly selectorError: { readonly field: string; readonly message: string } | undefined;
  /** Anything that was under `spec.rules`; undefined if it was no list. */
  readonly rules: readonly unknown[] | undefined;
}

export function readAuthorizationPolicy(metadata: Metadata, object: Fields): AuthorizationPolicy {
  const spec = isFields(object["spec"]) ? object["spec"] : {};
  const rules = spec["rules"] ?? [];
  return {
    id: idOf(metadata),
    action: typeof spec["action"] === "string" ? spec["action"].slice(0, 80) : spec["action"] === undefined ? "" : "?",
    dryRun: metadata.annotations("istio.io/dry-run") === "true",
    targeted: isTargeted(spec),
    ...tolerantSelector(spec),
    rules: Array.isArray(rules) ? (rules as readonly unknown[]) : undefined,
  };
}

function isTargeted(spec: Fields): boolean {
  const refs = spec["targetRefs"];
  return isFields(spec["targetRef"]) || (Array.isArray(refs) && refs.length > 0);
}

/** Reads `spec.selector`, or says why it cannot. */
export function tolerantSelector(spec: Fields): Pick<AuthorizationPolicy, "selector" | "selectorError"> {
  try {
    return { selector: readWorkloadSelector(spec), selectorError: undefined };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    return { selector: undefined, selectorError: { field: error.field, message: error.message } };
  }
}

/** An empty selector selects all, as no selector does. @throws FieldError also for fields that are no selector's. */
function readWorkloadSelector(spec: Fields): Selector | undefined {
  const selector = fieldsOf(spec["selector"], "spec.selector");
  const stranger = Object.keys(selector).find((key) => key !== "matchLabels");
  if (stranger !== undefined)
    throw new FieldError(
      "spec.selector",
      `has the field ${JSON.stringify(stranger.slice(0, 80))}; only matchLabels is known`,
    );
  return selectorOf(selector["matchLabels"], "spec.selector.matchLabels");
}
