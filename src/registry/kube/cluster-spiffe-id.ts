import { isTrustDomain } from "../../spiffe.ts";
import { durationOf } from "./duration.ts";
import { type EntryTemplate, entryTemplate } from "./entry-template.ts";
import {
  describe,
  FieldError,
  fieldsOf,
  isAbsent,
  isFields,
  listOf,
  textOf,
  textsOf,
  truthOf,
  type Fields,
} from "./fields.ts";
import { type LabelSelector, labelSelectorOf } from "./labels.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";

/**
 * Which pods SPIRE gives which identities: spire.spiffe.io/v1alpha1 (contract identity.md 1.5). SPIRE's controller manager
 * makes registration entries of it; where that does not run, we can.
 */
export interface ClusterSpiffeId {
  readonly id: ObjectId;
  readonly spiffeId: EntryTemplate;
  /** Undefined for all. */
  readonly podSelector: LabelSelector | undefined;
  readonly namespaceSelector: LabelSelector | undefined;
  /** 0 for the server's default. */
  readonly ttlSeconds: number;
  readonly jwtTtlSeconds: number;
  /** As `k8s:container-name:app` once rendered. */
  readonly workloadSelectors: readonly EntryTemplate[];
  readonly dnsNames: readonly EntryTemplate[];
  /** Names of trust domains. */
  readonly federatesWith: readonly string[];
  readonly admin: boolean;
  readonly downstream: boolean;
  readonly autoPopulateDnsNames: boolean;
  /** Which controller it is for; empty for any. */
  readonly className: string;
  /** It counts for pods that no other one selects. */
  readonly fallback: boolean;
  readonly hint: string;
  /** A controller has written its status: it makes entries of it, or did. */
  readonly handled: boolean;
}

const TEMPLATE_CHARS_MAX = 2048;
/** SPIRE's own bound. */
const HINT_CHARS_MAX = 1024;
const TEMPLATES_MAX = 64;

/** @throws FieldError; but not for a template that only SPIRE's controller can render. */
export function readClusterSpiffeId(metadata: Metadata, object: Fields): ClusterSpiffeId {
  const spec = fieldsOf(object["spec"], "spec");
  const text = textOf(spec["spiffeIDTemplate"], "spec.spiffeIDTemplate", TEMPLATE_CHARS_MAX);
  if (text === "") throw new FieldError("spec.spiffeIDTemplate", `is missing; give one, as ${MESH_TEMPLATE}`);
  return {
    id: idOf(metadata),
    spiffeId: entryTemplate(text),
    podSelector: optionalSelector(spec["podSelector"], "spec.podSelector"),
    namespaceSelector: optionalSelector(spec["namespaceSelector"], "spec.namespaceSelector"),
    ttlSeconds: secondsOf(spec["ttl"], "spec.ttl"),
    jwtTtlSeconds: secondsOf(spec["jwtTtl"], "spec.jwtTtl"),
    workloadSelectors: templatesOf(spec["workloadSelectorTemplates"], "spec.workloadSelectorTemplates"),
    dnsNames: templatesOf(spec["dnsNameTemplates"], "spec.dnsNameTemplates"),
    federatesWith: trustDomainsOf(spec["federatesWith"], "spec.federatesWith"),
    admin: truthOf(spec["admin"], "spec.admin") ?? false,
    downstream: truthOf(spec["downstream"], "spec.downstream") ?? false,
    autoPopulateDnsNames: truthOf(spec["autoPopulateDNSNames"], "spec.autoPopulateDNSNames") ?? false,
    className: textOf(spec["className"], "spec.className", 253),
    fallback: truthOf(spec["fallback"], "spec.fallback") ?? false,
    hint: textOf(spec["hint"], "spec.hint", HINT_CHARS_MAX),
    handled: isFields(object["status"]) && isFields(object["status"]["stats"]),
  };
}

/** What identities of a mesh are made of (contract peering.md C06). */
export const MESH_TEMPLATE =
  "spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}";

/** What we do not make entries of, though SPIRE's controller would. @throws FieldError with the field, and what to do. */
export function requireRegistrable(spiffeId: ClusterSpiffeId): void {
  const {
    spiffeId: id,
    workloadSelectors,
    dnsNames,
    admin,
    downstream,
    autoPopulateDnsNames,
    jwtTtlSeconds,
  } = spiffeId;
  const templates: readonly (readonly [string, EntryTemplate])[] = [
    ["spec.spiffeIDTemplate", id],
    ...workloadSelectors.map((template, at) => [`spec.workloadSelectorTemplates[${at}]`, template] as const),
    ...dnsNames.map((template, at) => [`spec.dnsNameTemplates[${at}]`, template] as const),
  ];
  for (const [field, { unsupported }] of templates) if (unsupported !== "") throw new FieldError(field, unsupported);
  const refuse = (field: string, why: string): never => {
    throw new FieldError(field, why);
  };
  if (admin)
    refuse("spec.admin", "is true; who may administer SPIRE is for its operator to say: make that entry there");
  if (downstream)
    refuse("spec.downstream", "is true; who may be an authority is for SPIRE's operator to say: make that entry there");
  if (autoPopulateDnsNames)
    refuse("spec.autoPopulateDNSNames", "is true, which is not done here; name them in dnsNameTemplates");
  if (jwtTtlSeconds !== 0)
    refuse("spec.jwtTtl", "is set, which is not done here; remove it: the server's default holds");
  if (spiffeId.className !== "") refuse("spec.className", "leaves it to a controller of that class; remove it");
}

const optionalSelector = (value: unknown, field: string): LabelSelector | undefined =>
  isAbsent(value) ? undefined : labelSelectorOf(value, field);

function secondsOf(value: unknown, field: string): number {
  // What controllers write for none.
  if (value === "0s" || value === "") return 0;
  const ms = durationOf(value, field);
  return ms === undefined ? 0 : Math.max(1, Math.floor(ms / 1000));
}

function templatesOf(value: unknown, field: string): readonly EntryTemplate[] {
  return listOf(value, field, TEMPLATES_MAX).map((item, at) => {
    const text = textOf(item, `${field}[${at}]`, TEMPLATE_CHARS_MAX);
    if (text === "") throw new FieldError(`${field}[${at}]`, "must not be empty");
    return entryTemplate(text);
  });
}

function trustDomainsOf(value: unknown, field: string): readonly string[] {
  return textsOf(value, field).map((name, at) => {
    if (!isTrustDomain(name))
      throw new FieldError(`${field}[${at}]`, `is ${describe(name)}, which is no trust domain's name, as west.example`);
    return name;
  });
}
