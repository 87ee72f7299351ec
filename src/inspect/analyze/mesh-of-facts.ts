import { CONFIG_MAPS } from "../../kube/resource-types.ts";
import type { MeshConfig, MeshSettings } from "../../registry/model/mesh.ts";
import type { Problem } from "../../registry/model/problem.ts";
import { FieldError } from "../../registry/kube/fields.ts";
import { readMeshConfig, type MeshConfigReading } from "../../registry/kube/mesh-config.ts";
import { objectsOf, type ClusterFacts } from "../cluster-facts.ts";

/** What a cluster's ConfigMap says of the mesh, with the defaults of a control plane. */
export interface FactsMesh {
  readonly settings: MeshSettings;
  readonly config: MeshConfig;
  readonly problems: readonly Problem[];
}

/** Never throws: a mesh config that cannot be read is a problem, and the defaults hold. */
export function meshOfFacts(facts: ClusterFacts, systemNamespace: string): FactsMesh {
  const found = objectsOf(facts, CONFIG_MAPS).find(
    ({ metadata }) => metadata.name === "istio" && metadata.namespace === systemNamespace,
  );
  const origin = (found && facts.files?.origins.get(found)) ?? "";
  const problem = (field: string, message: string, severity: Problem["severity"]): Problem => ({
    ...{ object: `ConfigMap ${systemNamespace}/istio`, origin, field, severity },
    message: `${field} ${message}.`,
  });
  const defaults = meshOf(undefined, systemNamespace);
  if (found === undefined) return defaults;
  try {
    const reading = readMeshConfig(found);
    const problems = reading.warnings.map(({ field, message }) => problem(field, message, "warning"));
    return { ...meshOf(reading, systemNamespace), problems };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    return { ...defaults, problems: [problem(error.field, error.message, "error")] };
  }
}

const meshOf = (reading: MeshConfigReading | undefined, systemNamespace: string): FactsMesh => ({
  settings: {
    trustDomain: reading?.config.trustDomain ?? "cluster.local",
    rootNamespace: reading?.config.rootNamespace ?? systemNamespace,
    clusterDomain: "cluster.local",
  },
  config: { serviceScopeConfigs: reading?.config.serviceScopeConfigs ?? [] },
  problems: [],
});
