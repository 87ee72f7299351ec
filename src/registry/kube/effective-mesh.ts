import type { Config } from "../../config.ts";
import type { MeshConfig, MeshSettings } from "../model/mesh.ts";
import type { CaCertificate } from "./ca-certificates.ts";
import type { DeclaredMesh } from "./mesh-config.ts";

/** What holds for the mesh, whoever said it. */
export interface EffectiveMesh extends MeshConfig {
  /** Identities and policies hang on these: they are what they were at the start until the next one. */
  readonly settings: MeshSettings;
  readonly trustDomainAliases: readonly string[];
  readonly caCertificates: readonly CaCertificate[];
}

export type MeshDefaults = Pick<Config, "trustDomain" | "clusterDomain" | "systemNamespace" | "chosen">;

/** A flag or a variable wins over the mesh config, and that over what holds if nobody says anything. */
export function effectiveMesh(config: MeshDefaults, declared: DeclaredMesh): EffectiveMesh {
  const { trustDomain, rootNamespace, trustDomainAliases, caCertificates, serviceScopeConfigs } = declared;
  return {
    settings: {
      trustDomain: config.chosen.trustDomain ? config.trustDomain : (trustDomain ?? config.trustDomain),
      rootNamespace: rootNamespace ?? config.systemNamespace,
      clusterDomain: config.clusterDomain,
    },
    trustDomainAliases,
    caCertificates,
    serviceScopeConfigs,
  };
}
