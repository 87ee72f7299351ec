import { FieldError, isAbsent, isFields, truthOf, type Fields } from "../../registry/kube/fields.ts";
import type { Metadata } from "../../registry/kube/metadata.ts";
import type { ObjectName, SourceSpec, TrustObjectId } from "../policy.ts";
import { agentCaOf } from "./authority-source.ts";
import { authorityOptionsOf, DAY_MS, type AuthorityOptions } from "./authority-options.ts";
import { passiveAuthoritiesOf, type PassiveAuthorities } from "./passive-authorities.ts";
import { checkApplyToMeshes } from "./apply-to-meshes.ts";
import { objectNameOf, onlyOneOf, supportedFieldsOf } from "./read-fields.ts";
import { trustObjectId } from "./trust-object-id.ts";

/** The one root of all clusters, as an object says it (guide 004, contract identity.md 4.1). */
export interface RootTrustPolicy {
  readonly id: TrustObjectId;
  readonly source: WrittenSource;
  readonly passive: PassiveAuthorities;
  readonly intermediate: AuthorityOptions & { readonly graceRatio: number };
  readonly autoRestartPods: boolean;
  readonly rotateRoot: string;
  /** What is read and changes nothing, in sentences. */
  readonly notes: readonly string[];
}

/** A generated root whose organization is empty has the trust domain there. */
export type WrittenSource = SourceSpec | { readonly kind: "reference"; readonly caSource: ObjectName };

export const ROTATE_ROOT = "trust.causeway.dev/rotate-root";
const ROTATE_CHARS_MAX = 128;
/** Of its life: an intermediate is renewed when less is left (contract identity.md 4.2, R6). */
const GRACE_RATIO = 0.1;
const ROOT = { ttlDays: 3650, ttlDaysMax: 10_950, more: [] };
const INTERMEDIATE = { ttlDays: 90, ttlDaysMax: 3_650, more: ["autoRestartPods"] };
const SOURCES = ["mgmtServerCa", "agentCa", "caSourceRef"] as const;

/** @throws FieldError */
export function readRootTrustPolicy(metadata: Metadata, object: Fields): RootTrustPolicy {
  const spec = supportedFieldsOf(object["spec"], "spec", ["config", "applyToMeshes"]);
  checkApplyToMeshes(spec["applyToMeshes"], "spec.applyToMeshes");
  const fields = [...SOURCES, "intermediateCertOptions", "autoRestartPods", "passiveCertificateAuthorities"];
  const config = supportedFieldsOf(spec["config"], "spec.config", fields);
  const intermediate = intermediateOf(config);
  const { source, notes } = sourceOf(config, metadata.namespace);
  if (source.kind === "generated" && source.lifetimeMs < intermediate.lifetimeMs)
    throw new FieldError(
      "spec.config.mgmtServerCa.generated.ttlDays",
      `is ${source.lifetimeMs / DAY_MS}, and intermediates live ${intermediate.lifetimeMs / DAY_MS} days; let the root live longer than they do`,
    );
  return {
    id: trustObjectId("RootTrustPolicy", metadata),
    source,
    passive: passiveAuthoritiesOf(
      config["passiveCertificateAuthorities"],
      "spec.config.passiveCertificateAuthorities",
      metadata.namespace,
    ),
    intermediate,
    autoRestartPods: autoRestartPodsOf(config),
    rotateRoot: rotateRootOf(metadata),
    notes,
  };
}

interface Sourced {
  readonly source: WrittenSource;
  readonly notes: readonly string[];
}

function sourceOf(config: Fields, namespace: string): Sourced {
  const which = onlyOneOf(config, "spec.config", SOURCES);
  const [value, field] = [config[which], `spec.config.${which}`];
  if (which === "mgmtServerCa") return mgmtServerCaOf(value, field, namespace);
  if (which === "agentCa") return { source: agentCaOf(value, field, namespace), notes: [] };
  return { source: { kind: "reference", caSource: objectNameOf(value, field, namespace) }, notes: [] };
}

function mgmtServerCaOf(value: unknown, field: string, namespace: string): Sourced {
  const fields = supportedFieldsOf(value, field, ["generated", "secretRef"]);
  if (onlyOneOf(fields, field, ["generated", "secretRef"]) === "secretRef")
    return {
      source: { kind: "secret", secret: objectNameOf(fields["secretRef"], `${field}.secretRef`, namespace) },
      notes: [],
    };
  const options = authorityOptionsOf(fields["generated"], `${field}.generated`, ROOT);
  const { organization, keyType, lifetimeMs, graceRatio } = options;
  const unasked = `${field}.generated.secretRotationGracePeriodRatio has no effect: a generated root is replaced when that is asked for, by a new value of the annotation ${ROTATE_ROOT}.`;
  return {
    source: { kind: "generated", organization, keyType, lifetimeMs },
    notes: graceRatio === undefined ? [] : [unasked],
  };
}

function intermediateOf(config: Fields): RootTrustPolicy["intermediate"] {
  const value = isAbsent(config["intermediateCertOptions"]) ? {} : config["intermediateCertOptions"];
  const options = authorityOptionsOf(value, "spec.config.intermediateCertOptions", INTERMEDIATE);
  return { ...options, graceRatio: options.graceRatio ?? GRACE_RATIO };
}

/** Guide 004 has it among the options of intermediates, the published API beside them. */
function autoRestartPodsOf(config: Fields): boolean {
  const options = config["intermediateCertOptions"];
  const inside = truthOf(
    isFields(options) ? options["autoRestartPods"] : undefined,
    "spec.config.intermediateCertOptions.autoRestartPods",
  );
  const beside = truthOf(config["autoRestartPods"], "spec.config.autoRestartPods");
  if (inside !== undefined && beside !== undefined && inside !== beside)
    throw new FieldError(
      "spec.config.autoRestartPods",
      `is ${beside}, and intermediateCertOptions.autoRestartPods is ${inside}; keep one of them`,
    );
  return inside ?? beside ?? false;
}

function rotateRootOf(metadata: Metadata): string {
  const text = metadata.annotations(ROTATE_ROOT) ?? "";
  if (text.length <= ROTATE_CHARS_MAX) return text;
  throw new FieldError(
    `metadata.annotations[${ROTATE_ROOT}]`,
    `is ${text.length} characters long; any short text that is new will do, as today's date`,
  );
}
