import { objectKey, policyName, type ObjectKey, type PolicyName } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { Index } from "./collection/index-by.ts";
import { merge } from "./collection/merge.ts";
import type { Objects } from "./kube/objects.ts";
import type { MutualTlsMode, PeerAuthentication } from "./kube/peer-authentication.ts";
import type { MeshSettings } from "./model/mesh.ts";
import type { Policy, PolicyClause, PolicyRule } from "./model/policy.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";
import { union } from "./union.ts";

/** Not names that an object can have: no policy of a user is ever mistaken for one of these. */
const STATIC_STRICT = "istio_converted_static_strict";
const CONVERTED_PREFIX = "converted_peer_authentication_";

/** PeerAuthentications without a selector, by namespace. */
export type MutualTlsScopes = Index<ObjectKey, PeerAuthentication>;

export function mutualTlsScopes(graph: Graph, objects: Objects, { localCluster }: RegistryOptions): MutualTlsScopes {
  return new Index(graph, objects.peerAuthentications, "scope", ({ id, selector, binds }) =>
    binds && id.cluster === localCluster && !selector ? [id.namespace] : [],
  );
}

/** Whether a workload takes only mutual TLS, and where it differs by port. */
type Scopes = { get(namespace: string): readonly PeerAuthentication[] };

/** The policies by which a workload's PeerAuthentications are enforced (contract ztunnel.md 5.8). */
export function attachedMutualTls(
  namespace: string,
  selecting: readonly PeerAuthentication[],
  scopes: Scopes,
  mesh: MeshSettings,
): readonly PolicyName[] {
  const own = namespace === mesh.rootNamespace ? undefined : oldest(selecting);
  const strictParent = parentIsStrict(namespace, scopes, mesh);
  if (own && portPolicy(own, strictParent)) return [convertedName(own)];
  const strict = own && own.mode !== "unset" ? own.mode === "strict" : strictParent;
  return strict ? [policyName(mesh.rootNamespace, STATIC_STRICT)] : [];
}

function oldest(all: readonly PeerAuthentication[]): PeerAuthentication | undefined {
  const order = (a: PeerAuthentication, b: PeerAuthentication): number =>
    a.id.createdMs - b.id.createdMs || (a.id.name < b.id.name ? -1 : 1);
  return [...all].sort(order)[0];
}

/** What holds for a workload that says nothing: its namespace's mode, else the mesh's. */
function parentIsStrict(namespace: string, scopes: Scopes, { rootNamespace }: MeshSettings): boolean {
  const levels = namespace === rootNamespace ? [rootNamespace] : [namespace, rootNamespace];
  const modes = levels.map((level): MutualTlsMode => oldest(scopes.get(level))?.mode ?? "unset");
  return modes.find((mode) => mode !== "unset") === "strict";
}

const convertedName = ({ id }: PeerAuthentication): PolicyName =>
  policyName(id.namespace, `${CONVERTED_PREFIX}${id.name}`);

const PLAIN: PolicyClause = { matches: [{ notPrincipals: [{ kind: "presence" }] }] };

/**
 * Rules for ports that differ from the rest; undefined if none does. Unlike istiod we let DISABLE open a port under an
 * inherited STRICT just as PERMISSIVE does: it is what the user wrote.
 */
function portPolicy({ mode, portModes }: PeerAuthentication, strictParent: boolean): readonly PolicyRule[] | undefined {
  const strict = mode === "strict" || (mode === "unset" && strictParent);
  const differing = portModes.filter((port) => (port.mode === "strict") !== strict).map(({ port }) => port);
  if (differing.length === 0) return undefined;
  if (!strict)
    return differing.map((port) => ({
      clauses: [{ matches: [{ notPrincipals: [{ kind: "presence" }], destinationPorts: [port] }] }],
    }));
  const open = differing.map((port): PolicyClause => ({ matches: [{ notDestinationPorts: [port] }] }));
  return [{ clauses: [PLAIN, ...open] }];
}

/** The policies that `attachedMutualTls` names. */
export function mutualTlsPolicies(
  graph: Graph,
  objects: Objects,
  scopes: MutualTlsScopes,
  { localCluster, mesh }: RegistryOptions,
): Collection<PolicyName, Policy> {
  const converted = derive(graph, {
    name: "converted-peer-authentications",
    from: objects.peerAuthentications,
    reads: { scopes },
    to: (source, { scopes }) => {
      const { cluster, namespace } = source.id;
      if (!source.binds || cluster !== localCluster || !source.selector || namespace === mesh.rootNamespace) return [];
      const rules = portPolicy(source, parentIsStrict(namespace, scopes, mesh));
      const key = convertedName(source);
      return rules ? [[key, denial(key, rules)] as const] : [];
    },
  });
  const staticName = policyName(mesh.rootNamespace, STATIC_STRICT);
  const local = derive(graph, {
    name: "local-peer-authentications",
    from: objects.peerAuthentications,
    reads: {},
    to: (source, _reads, key) => (source.id.cluster === localCluster ? [[key, true] as const] : []),
  });
  const staticStrict = merge(graph, {
    name: "static-strict",
    from: local,
    by: () => staticName,
    combine: (key) => denial(key, [{ clauses: [PLAIN] }]),
  });
  return union(graph, "mutual-tls-policies", [converted, staticStrict]);
}

function denial(key: PolicyName, rules: readonly PolicyRule[]): Policy {
  const [namespace = "", name = ""] = key.split("/");
  return { key, name, namespace, scope: "selector", action: "deny", rules, dryRun: false };
}

/** What was written and does not count. */
export function mutualTlsProblems(
  graph: Graph,
  objects: Objects,
  { mesh }: RegistryOptions,
): Collection<string, Problem> {
  return derive(graph, {
    name: "peer-authentication-problems",
    from: objects.peerAuthentications,
    reads: {},
    to: ({ id, selector, portModes, errors }) => {
      const object = `PeerAuthentication ${id.namespace}/${id.name}`;
      const problem = (field: string, message: string, severity: Problem["severity"]) =>
        [
          `${object} ${objectKey(id.cluster, id.namespace, id.name)}#${field}`,
          { object, origin: id.origin, field, message: `${field} ${message}.`, severity },
        ] as const;
      const found = errors.map(({ field, message }) => problem(field, message, "error"));
      if (selector && id.namespace === mesh.rootNamespace)
        found.push(problem("spec.selector", "has no effect in the root namespace; move it to the workload's", "error"));
      else if (!selector && portModes.length > 0)
        found.push(problem("spec.portLevelMtls", "has no effect without a selector", "warning"));
      return found;
    },
  });
}
