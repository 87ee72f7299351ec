import type { Config } from "../../config.ts";
import type { JwtRule } from "../../jwt-rule.ts";
import type { MeshConfig, MeshSettings } from "../model/mesh.ts";
import type { CaCertificate } from "./ca-certificates.ts";
import type { DeclaredMesh } from "./mesh-config.ts";

/** What holds for the mesh, whoever said it. */
export interface EffectiveMesh extends MeshConfig {
  /** Identities and policies hang on these: they are what they were at the start until the next one. */
  readonly settings: MeshSettings;
  readonly trustDomainAliases: readonly string[];
  readonly caCertificates: readonly CaCertificate[];
  /** Issuers of tokens outside of Kubernetes. */
  readonly jwtRules: readonly JwtRule[];
}

export type MeshDefaults = Pick<Config, "trustDomain" | "clusterDomain" | "systemNamespace" | "chosen">;

/** A flag or a variable wins over the mesh config, and that over what holds if nobody says anything. */
export function effectiveMesh(config: MeshDefaults, declared: DeclaredMesh): EffectiveMesh {
  const { trustDomain, rootNamespace, trustDomainAliases, caCertificates, jwtRules, serviceScopeConfigs } = declared;
  return {
    settings: {
      trustDomain: config.chosen.trustDomain ? config.trustDomain : (trustDomain ?? config.trustDomain),
      rootNamespace: rootNamespace ?? config.systemNamespace,
      clusterDomain: config.clusterDomain,
    },
    trustDomainAliases,
    caCertificates,
    jwtRules,
    serviceScopeConfigs,
  };
}
