import { clusterId, hostname, serviceName, type ClusterId, type Hostname, type ServiceName } from "../names.ts";
import { byCodeUnit } from "./collection/collection.ts";
import type { Candidate, CandidateInputs, CandidateQuestion } from "./global-candidate.ts";
import { kubeCandidate } from "./kube-candidates.ts";
import { peerCandidate } from "./peer-candidates.ts";

/**
 * Why each cluster is or is not behind a global name. Worked out when somebody asks: for all names and clusters it would
 * be more than the mesh itself. What a peer does not export, and why, only that peer can say.
 */
export class GlobalCandidates {
  /** What the answers are made of, for those who say more of it. */
  readonly inputs: CandidateInputs;

  constructor(inputs: CandidateInputs) {
    this.inputs = inputs;
  }

  /** The names that there are, whoever has them. */
  hosts(): readonly ServiceName[] {
    return Array.from(this.inputs.offers.hosts.entries(), ([key]) => key).sort(byCodeUnit);
  }

  /**
   * Of all clusters, the local one first. `host` may be one that nobody has: then it is read as
   * `service.namespace.domain`. With `port` also whether each cluster has that port of the service.
   */
  of(host: string, port?: number): readonly Candidate[] {
    return this.#answer(this.#questionOf(hostname(host.toLowerCase()), port));
  }

  /** The same of a name that there is, without looking for it; nobody of one that there is not. */
  ofName(key: ServiceName): readonly Candidate[] {
    const global = this.inputs.offers.hosts.get(key);
    if (global === undefined) return [];
    const { host, namespace, name } = global;
    return this.#answer({ key, host, name, namespace, port: undefined });
  }

  #answer(question: CandidateQuestion): readonly Candidate[] {
    const { localCluster } = this.inputs.options;
    const remote = this.#remoteClusters();
    const peers = this.#peers();
    return [
      kubeCandidate(question, localCluster, this.inputs),
      ...peers.map((cluster) => peerCandidate(question, cluster, this.inputs)),
      ...remote.map((cluster) => kubeCandidate(question, cluster, this.inputs)),
    ];
  }

  #questionOf(host: Hostname, port: number | undefined): CandidateQuestion {
    for (const [key, global] of this.inputs.offers.hosts.entries())
      if (global.host === host) return { key, host, name: global.name, namespace: global.namespace, port };
    const [name = "", namespace = ""] = host.split(".");
    return { key: serviceName(namespace, host), host, name, namespace, port };
  }

  #peers(): readonly ClusterId[] {
    const gateways = Array.from(this.inputs.peerGateways.entries(), ([, { cluster }]) => cluster);
    return [...new Set(gateways.filter((cluster) => cluster !== undefined))].sort(byCodeUnit);
  }

  /** Those that remote secrets are for: a cluster that is read has a system namespace. */
  #remoteClusters(): readonly ClusterId[] {
    const { objects, options } = this.inputs;
    const found = new Set<ClusterId>();
    for (const [key, { name }] of objects.namespaces.entries())
      if (name === options.systemNamespace) found.add(clusterId(key.slice(0, key.indexOf("/"))));
    found.delete(options.localCluster);
    return [...found].sort(byCodeUnit);
  }
}
