import type { Host } from "../../host.ts";
import type { Issuer } from "../issuer.ts";
import type { SourceSpec, VaultSpec } from "../policy.ts";
import type { TrustStore } from "../store/store.ts";
import { CheckedIssuer } from "./checked.ts";
import { GeneratedIssuer, type RootChange } from "./generated.ts";
import { type ReadSecret, SecretIssuer } from "./secret.ts";

/** What issuers are made with. */
export interface IssuerParts {
  readonly host: Host;
  readonly store: TrustStore;
  readonly readSecret: ReadSecret;
  readonly certManager: (spec: Extract<SourceSpec, { kind: "cert-manager" }>) => Issuer;
  readonly vault: (spec: VaultSpec) => Issuer;
}

const LEAF_FIX: Readonly<Record<SourceSpec["kind"], string>> = {
  generated: "report this, as it is a fault of ours",
  secret: "report this, as it is a fault of ours",
  "cert-manager": "its CertificateRequest needs isCA: true, and the issuer must be one that signs authorities",
  vault:
    "let caPath end in root/sign-intermediate, or issuer/<name>/sign-intermediate, as sign/<role> gives leaves alone",
};

/** The issuer that a policy names, whose answers are held to what was ordered. @throws MeshError as the one it opens. */
export function openIssuer(spec: SourceSpec, change: RootChange, parts: IssuerParts): CheckedIssuer {
  return new CheckedIssuer(parts.host, issuerOf(spec, change, parts), LEAF_FIX[spec.kind]);
}

function issuerOf(spec: SourceSpec, change: RootChange, parts: IssuerParts): Issuer {
  switch (spec.kind) {
    case "generated":
      return new GeneratedIssuer(parts.host, parts.store, spec, change);
    case "secret":
      return new SecretIssuer(parts.host, spec.secret, parts.readSecret);
    case "cert-manager":
      return parts.certManager(spec);
    case "vault":
      return parts.vault(spec);
  }
}
