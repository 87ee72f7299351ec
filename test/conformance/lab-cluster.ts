import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FederatedService } from "../../src/registry/model/federated-service.ts";
import { FSDS_TYPE } from "../../src/xds/resource.ts";
import type { TestAuthority } from "../kits/tls.ts";
import type { LabPrograms } from "./lab-programs.ts";
import type { TestHost } from "./network.ts";
import { remoteGateway, type SeenPeer } from "./peering-lab.ts";
import { fetchIn, until } from "./ztunnel-lab.ts";

const program = join(import.meta.dirname, "..", "..", "src", "main.js");

export interface LabClusterParts {
  readonly name: string;
  readonly network: string;
  readonly folder: string;
  readonly programs: LabPrograms;
  /** Where its control plane runs, and its way in. */
  readonly hosts: { readonly plane: TestHost; readonly door: TestHost };
  readonly root: TestAuthority;
  /** Its own, under the root. */
  readonly authority: TestAuthority;
  /** Who may read the mesh besides ztunnels, as `shop/web`: a ztunnel in dedicated mode has its pod's account. */
  readonly readers: readonly string[];
}

/** One cluster: a folder of manifests, a control plane on a machine of its own, and proxies of its Gateways on others. */
export class LabCluster {
  readonly #parts: LabClusterParts;
  plane: ChildProcess | undefined;

  constructor(parts: LabClusterParts) {
    this.#parts = parts;
    const { root, authority } = parts;
    for (const part of ["manifests", "cacerts"]) mkdirSync(this.at(part), { recursive: true });
    const pems = {
      "ca-cert": authority.root,
      "ca-key": authority.key,
      "cert-chain": authority.root + root.root,
      "root-cert": root.root,
    };
    for (const [file, pem] of Object.entries(pems)) writeFileSync(this.at(`cacerts/${file}.pem`), pem);
    writeFileSync(this.at("root.pem"), root.root);
  }

  get name(): string {
    return this.#parts.name;
  }
  get network(): string {
    return this.#parts.network;
  }
  get doorAddress(): string {
    return this.#parts.hosts.door.address;
  }
  /** Of its control plane, as `10.77.0.1:15012`. */
  get control(): string {
    return `${this.#parts.hosts.plane.address}:15012`;
  }

  at(path: string): string {
    return join(this.#parts.folder, path);
  }
  write(file: string, text: string): void {
    writeFileSync(this.at(`manifests/${file}.yaml`), text);
  }
  remove(file: string): void {
    rmSync(this.at(`manifests/${file}.yaml`), { force: true });
  }

  /** Has it read `other`. */
  link(other: LabCluster): void {
    const said = { network: other.network, trustDomain: "cluster.local", port: 15_012, address: other.doorAddress };
    this.write(`peer-${other.name}`, remoteGateway(other.name, said));
  }

  async startPlane(): Promise<void> {
    const { hosts, programs, name, readers } = this.#parts;
    const files = [...this.#folders(), "--cacerts", this.at("cacerts")];
    const accounts = ["--trusted-node-accounts", ["istio-system/ztunnel", ...readers].join(",")];
    const names = ["--serving-name", hosts.plane.address];
    const flags = ["serve", "--cluster", name, "--listen", "0.0.0.0", ...files, ...names, ...accounts];
    const environment = { GATEWAY_DISCOVERY_ADDRESS: this.control };
    const plane = programs.start(hosts.plane, process.execPath, [program, ...flags], environment);
    this.plane = plane;
    await until(`the control plane of ${name} is ready`, () => programs.printed(plane).includes("causeway is ready"));
  }

  /** @param signal SIGTERM to leave as in an upgrade, SIGKILL as in a crash. */
  async stopPlane(signal: NodeJS.Signals): Promise<void> {
    await this.#parts.programs.stop(this.plane!, signal);
  }

  /** A token for a pod, by which its proxy proves whose it is. */
  token(namespace: string, pod: string): string {
    const words = ["token", "-n", namespace, "--pod", pod, "--cluster", this.name, ...this.#folders()];
    return this.#parts.hosts.plane.run(process.execPath, [program, ...words]).trim();
  }

  /** A proxy of a Gateway: Envoy and the agent beside it, as the Deployment has them in one pod. */
  async startGateway(envoy: string, host: TestHost, namespace: string, gateway: string): Promise<ChildProcess> {
    const token = this.at(`${gateway}.token`);
    writeFileSync(token, this.token(namespace, `${gateway}-1`));
    const environment = {
      ...{ POD_NAME: `${gateway}-1`, POD_NAMESPACE: namespace, INSTANCE_IP: host.address, SERVICE_ACCOUNT: gateway },
      ...{ GATEWAY_NAME: gateway, ISTIO_META_CLUSTER_ID: this.name, CA_ADDR: this.control },
      ...{ TOKEN_FILE: token, ROOT_CERT: this.at("root.pem"), RUN_DIR: this.at(`run-${gateway}`) },
      ...{ ENVOY_PATH: envoy, ENVOY_CONCURRENCY: "1", DRAIN_DURATION: "0s" },
    };
    const child = this.#parts.programs.start(host, process.execPath, [program, "gateway"], environment);
    await until(`gateway ${gateway} of ${this.name} is ready`, () =>
      /^ready/.test(fetchIn(host, "http://127.0.0.1:15021/healthz/ready")),
    );
    return child;
  }

  /** Another cluster, as its control plane sees it. */
  peer(other: LabCluster): SeenPeer | undefined {
    const page = fetchIn(this.#parts.hosts.plane, "http://127.0.0.1:15014/debug/peerz");
    return (JSON.parse(page) as readonly SeenPeer[]).find(({ cluster }) => cluster === other.name);
  }

  /** The services of another cluster, as a restart of the control plane would find them. */
  saved(other: LabCluster): readonly FederatedService[] {
    const file = this.at(`state/peers/${other.name}.json`);
    if (!existsSync(file)) return [];
    const [, body] = readFileSync(file, "utf8").split("\n");
    const { records } = JSON.parse(body!) as { records: Record<string, readonly { value: FederatedService }[]> };
    return records[FSDS_TYPE]!.map(({ value }) => value);
  }

  #folders(): readonly string[] {
    return ["--manifests", this.at("manifests"), "--state", this.at("state")];
  }
}
