import { NO_TERMINAL, type Options } from "../../src/command.ts";
import { multiclusterCheckCommand } from "../../src/commands/multicluster-check.ts";
import type { ClusterAccess } from "../../src/inspect/cluster-access.ts";
import { writeFacts } from "../../src/inspect/facts-folder.ts";
import { readClusters } from "../../src/inspect/read-cluster.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";
import { type Edit, type TestCluster, twoClusters } from "./two-clusters.ts";

/** How a check ended, and what it wrote. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Two clusters behind API servers in memory, and the command that checks them. */
export class CheckLab {
  readonly host = new TestHost();
  clusters: readonly TestCluster[] = [];

  static async open(edit: Edit = () => {}): Promise<CheckLab> {
    const lab = new CheckLab();
    const [east, west] = await twoClusters(lab.host.clock.now());
    edit(east, west, lab.host.clock.now());
    lab.clusters = [east, west];
    return lab;
  }

  access(cluster: TestCluster): ClusterAccess {
    const server = new FakeApiServer(this.host.clock, { server: `https://${cluster.name}:6443` });
    for (const object of cluster.objects) server.put(object);
    server.faults.silent = cluster.silent;
    server.faults.forbidden = ({ resource }) => cluster.hidden.includes(resource);
    server.answer = ({ path, body }) => {
      if (!path.endsWith("/subjectaccessreviews") || cluster.hidden.includes("subjectaccessreviews")) return undefined;
      const { verb, resource, subresource } = (body as { spec: { resourceAttributes: Record<string, string> } }).spec
        .resourceAttributes;
      const right = `${verb} ${resource}${subresource === undefined ? "" : `/${subresource}`}`;
      return { ...(body as object), status: { allowed: !cluster.lacks.includes(right) } };
    };
    const api = Object.assign(server.connect(), { aheadMs: cluster.aheadMs, revoked: cluster.revoked });
    const page = async (_: unknown, path: string): Promise<string> => {
      if (cluster.closed !== undefined) throw cluster.closed;
      const body = cluster.pages[path.slice("/debug/".length)];
      if (body === undefined) throw new Error("no such page");
      return JSON.stringify(body);
    };
    return { context: cluster.name, api, page, logs: async () => "", close: () => api.close() };
  }

  open = async (): Promise<readonly ClusterAccess[]> => this.clusters.map((cluster) => this.access(cluster));

  async check(options: Options, terminal: { readonly colour?: boolean } = {}): Promise<Ran> {
    const [out, err]: [string[], string[]] = [[], []];
    const running = multiclusterCheckCommand({ clock: this.host.clock, open: this.open }).run({
      ...{ args: [], options, environment: {}, signal: new AbortController().signal, progress: () => {} },
      printer: { out: (text) => void out.push(text), err: (text) => void err.push(text) },
      terminal: { ...NO_TERMINAL, ...terminal },
    });
    let code: number | undefined;
    void running.then((ended) => (code = ended));
    // Folders are read in real time, and clusters in virtual time.
    for (let turn = 0; code === undefined && turn < 2_000; turn += 1) {
      await this.host.clock.pass(500);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { code: await running, out: out.join(""), err: err.join("") };
  }

  /** What a bug report would hold. */
  async written(folder: string): Promise<void> {
    const reading = readClusters(this.host.clock, await this.open(), { signal: new AbortController().signal });
    await this.host.clock.pass(10_000);
    await writeFacts(folder, await reading);
  }
}
