import { join } from "node:path";
import type { TestHost } from "./network.ts";
import { fetchIn, until } from "./ztunnel-lab.ts";

const program = join(import.meta.dirname, "..", "..", "src", "main.js");

/** What Node runs beside an Envoy. */
export const GATEWAY_PROGRAM = ["--enable-source-maps", program, "gateway"];

export interface GatewayPlace {
  readonly namespace: string;
  /** Its Gateway, and its service account. */
  readonly gateway: string;
  readonly cluster: string;
  /** Of the control plane, as `10.77.0.1:15012`. */
  readonly control: string;
}

export interface GatewayFiles {
  readonly token: string;
  readonly root: string;
  readonly runDir: string;
}

/** As the Deployment of a Gateway says it, but that the agent starts its Envoy itself. */
export function gatewayEnvironment(
  host: TestHost,
  envoy: string,
  { namespace, gateway, cluster, control }: GatewayPlace,
  { token, root, runDir }: GatewayFiles,
): Readonly<Record<string, string>> {
  return {
    ...{ POD_NAME: `${gateway}-1`, POD_NAMESPACE: namespace, INSTANCE_IP: host.address, SERVICE_ACCOUNT: gateway },
    ...{ GATEWAY_NAME: gateway, ISTIO_META_CLUSTER_ID: cluster, CA_ADDR: control },
    ...{
      TOKEN_FILE: token,
      ROOT_CERT: root,
      RUN_DIR: runDir,
      ENVOY_PATH: envoy,
      ENVOY_CONCURRENCY: "1",
      DRAIN_DURATION: "0s",
    },
  };
}

export async function gatewayReady(host: TestHost, what: string): Promise<void> {
  await until(`gateway ${what} is ready`, () => /^ready/.test(fetchIn(host, "http://127.0.0.1:15021/healthz/ready")));
}
