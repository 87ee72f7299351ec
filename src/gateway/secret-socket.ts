import { mkdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { MeshError, messageOf } from "../errors.ts";
import { GrpcServer } from "../grpc/server.ts";
import type { Host } from "../host.ts";
import type { SecretService } from "./secret-service.ts";

/** What the system takes: sun_path of sockaddr_un has 108 bytes, with a zero at the end. */
const PATH_BYTES_MAX = 107;

/**
 * Serves secrets on a Unix domain socket that is our own user's alone, as Envoy runs as the same user. ⇄
 * @throws MeshError that names the path, what is wrong with it and what to do.
 */
export async function serveSecrets(host: Host, secrets: SecretService, path: string): Promise<GrpcServer> {
  const bytes = Buffer.byteLength(path);
  if (bytes > PATH_BYTES_MAX)
    throw new MeshError(
      "invalid",
      `the socket ${path} has a path of ${bytes} bytes, and the system takes ${PATH_BYTES_MAX}: choose a shorter --run-dir`,
    );
  await makeRunDir(dirname(path));
  await removeStale(path);
  const server = new GrpcServer(host, { name: "secrets", methods: secrets.methods(), certificate: undefined });
  await server.listenOnSocket(path).catch((thrown: unknown) => {
    throw new MeshError(
      "unavailable",
      `secrets cannot be served on ${path}: ${messageOf(thrown)}`,
      {},
      { cause: thrown },
    );
  });
  return server;
}

async function makeRunDir(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((thrown: unknown) => refuseRunDir(path, thrown));
}

/** @throws MeshError always. */
export function refuseRunDir(path: string, thrown: unknown): never {
  const advice = "mount an emptyDir there that the user of this container may write, or choose another --run-dir";
  const why = `the run folder ${path} cannot be written: ${messageOf(thrown)}; ${advice}`;
  throw new MeshError("unavailable", why, {}, { cause: thrown });
}

/** What a process left that was killed; one that lives keeps its socket. */
async function removeStale(path: string): Promise<void> {
  if (await isServed(path))
    throw new MeshError("conflict", `another causeway gateway serves ${path}: stop it, or choose another --run-dir`);
  await rm(path, { force: true }).catch((thrown: unknown) => refuseRunDir(dirname(path), thrown));
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => (socket.destroy(), resolve(true)));
    socket.once("error", () => resolve(false));
  });
}
