import { isAbsent, type Fields } from "../../registry/kube/fields.ts";
import type { SourceSpec } from "../policy.ts";
import { matchingText, objectNameOf, onlyOneOf, supportedFieldsOf } from "./read-fields.ts";
import { vaultSourceOf } from "./vault-source.ts";

const GROUP = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const KIND = /^[A-Z][A-Za-z0-9]*$/;
const NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;

type CertManagerSpec = Extract<SourceSpec, { kind: "cert-manager" }>;

/** Of a CASource. @throws FieldError */
export function caSourceOf(spec: Fields, field: string, namespace: string): SourceSpec {
  const which = onlyOneOf(spec, field, ["secret", "certManager", "vault"]);
  if (which === "secret") return { kind: "secret", secret: objectNameOf(spec[which], `${field}.secret`, namespace) };
  return which === "vault"
    ? vaultSourceOf(spec[which], `${field}.vault`, namespace)
    : certManagerOf(spec[which], `${field}.certManager`, namespace);
}

/** `agentCa` of a policy. @throws FieldError */
export function agentCaOf(value: unknown, field: string, namespace: string): SourceSpec {
  const fields = supportedFieldsOf(value, field, ["certManager", "vault"]);
  return onlyOneOf(fields, field, ["certManager", "vault"]) === "vault"
    ? vaultSourceOf(fields["vault"], `${field}.vault`, namespace)
    : certManagerOf(fields["certManager"], `${field}.certManager`, namespace);
}

function certManagerOf(value: unknown, field: string, namespace: string): CertManagerSpec {
  const { issuerRef } = supportedFieldsOf(value, field, ["issuerRef"]);
  const path = `${field}.issuerRef`;
  const { group, kind, name } = supportedFieldsOf(issuerRef, path, ["group", "kind", "name"]);
  return {
    kind: "cert-manager",
    issuer: {
      group: isAbsent(group)
        ? "cert-manager.io"
        : matchingText(group, `${path}.group`, GROUP, 253, "give a group, as cert-manager.io"),
      kind: isAbsent(kind)
        ? "Issuer"
        : matchingText(kind, `${path}.kind`, KIND, 63, "give a kind, as Issuer or ClusterIssuer"),
      name: matchingText(name, `${path}.name`, NAME, 253, "give the issuer's name"),
    },
    namespace,
  };
}
