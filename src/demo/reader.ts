import { readFile } from "node:fs/promises";
import { demoClient } from "../commands/demo-client.ts";
import type { RunningPlane } from "../commands/running-plane.ts";
import { nodeOf } from "../commands/watch.ts";
import type { Config } from "../config.ts";
import { MeshError } from "../errors.ts";
import { DeltaClient } from "../xds/delta-client.ts";
import { dialXds } from "../xds/dial.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from "../xds/resource.ts";
import { MeshView } from "./view.ts";

/** A client of one control plane that holds, over a stream of its own, what a ztunnel there would hold. */
export class MeshReader implements AsyncDisposable {
  readonly view = new MeshView();
  readonly #end = new AbortController();
  #stream: Promise<void> = Promise.resolve();
  #failure: MeshError | undefined;

  private constructor() {}

  /** @param onChanged called after each response. @throws MeshError if no token can be had. */
  static async open(running: RunningPlane, config: Config, onChanged: () => void): Promise<MeshReader> {
    const { address, token } = await demoClient({ ...running, config });
    const roots = await readFile(running.plane.rootCertificateFile, "utf8");
    const reader = new MeshReader();
    const dialled = dialXds({
      target: { address, roots, token, clusterId: running.plane.localCluster },
      client: new DeltaClient(nodeOf(token), [ADDRESS_TYPE, AUTHORIZATION_TYPE]),
      onUpdate: (update) => {
        reader.view.take(update);
        onChanged();
      },
      signal: reader.#end.signal,
    });
    reader.#stream = dialled.catch((thrown: unknown) => {
      reader.#failure = MeshError.from(thrown);
      onChanged();
    });
    return reader;
  }

  /** Why nothing more will come; undefined while the stream lives. */
  get failure(): MeshError | undefined {
    return this.#failure;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#stream;
  }
}
