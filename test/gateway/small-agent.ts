import { status } from "@grpc/grpc-js";
import { spire } from "../../proto/gen/mesh.js";
import type { AgentSvid } from "../../src/spire/spire.ts";
import { derOf, type TestAuthority } from "../kits/tls.ts";
import { Refusal, type SeenCall, SmallSpire, svidOf, type Talk } from "../spire/small-spire.ts";

const API = "/spire.api.agent.delegatedidentity.v1.DelegatedIdentity";
const NO_IDENTITY = new Refusal(status.PERMISSION_DENIED, "no identity issued");

interface Stream {
  tell(): void;
  readonly call: SeenCall;
}

/** A SPIRE agent for the one gateway of a test, with both of its APIs on one socket. */
export class SmallAgent {
  readonly #authority: TestAuthority;
  readonly #trustDomain: string;
  readonly #streams = new Set<Stream>();
  #spire: SmallSpire | undefined;
  #svids: readonly AgentSvid[] = [];

  private constructor(authority: TestAuthority, trustDomain: string) {
    this.#authority = authority;
    this.#trustDomain = trustDomain;
  }

  static async listen(path: string, authority: TestAuthority, trustDomain = "cluster.local"): Promise<SmallAgent> {
    const agent = new SmallAgent(authority, trustDomain);
    agent.#spire = await SmallSpire.onSocket(path, {
      talks: {
        "/SpiffeWorkloadAPI/FetchX509SVID": agent.#talk((say) => {
          if (agent.#svids.length === 0) throw NO_IDENTITY;
          say(agent.#forWorkload());
        }),
        [`${API}/SubscribeToX509SVIDs`]: agent.#talk((say) => say(agent.#forDelegate())),
        [`${API}/SubscribeToX509Bundles`]: agent.#talk((say) => say(agent.#bundles())),
      },
    });
    return agent;
  }

  /** What delegates have asked for, in their order. */
  get asked() {
    return this.#spire!.calls.filter(({ method }) => method.endsWith("SubscribeToX509SVIDs")).map(({ request }) => {
      const { selectors, pid } = spire.SubscribeToX509SvidsRequest.decode(request);
      return { pid, selectors: selectors.map(({ type, value }) => `${type}:${value}`) };
    });
  }

  /** Of calls for identities that nobody has given up. */
  get followers(): number {
    const svids = [...this.#streams].filter(
      ({ call }) => call.method.endsWith("SVIDs") || call.method.endsWith("SVID"),
    );
    return svids.filter(({ call }) => !call.cancelled).length;
  }

  /** New certificates for these, or nothing, as when an entry is removed. @returns their leaves in DER. */
  async give(...spiffeIds: readonly string[]): Promise<readonly Buffer[]> {
    this.#svids = await Promise.all(spiffeIds.map((spiffeId) => svidOf(this.#authority, spiffeId)));
    for (const stream of this.#streams) stream.tell();
    return this.#svids.map(({ chain }) => Buffer.from(chain[0]!));
  }

  async close(): Promise<void> {
    await this.#spire![Symbol.asyncDispose]();
  }

  #talk(tell: (say: (message: Uint8Array) => void) => void): Talk {
    return (say, call) =>
      new Promise((_, reject) => {
        const stream: Stream = {
          call,
          tell: () => {
            try {
              tell(say);
            } catch (thrown) {
              this.#streams.delete(stream);
              reject(thrown as Refusal);
            }
          },
        };
        this.#streams.add(stream);
        stream.tell();
      });
  }

  #forWorkload(): Uint8Array {
    const bundle = derOf(this.#authority.root);
    const svids = this.#svids.map(({ spiffeId, chain, key }) => ({
      spiffeId,
      x509Svid: Buffer.concat(chain),
      x509SvidKey: key,
      bundle,
    }));
    return spire.WorkloadX509SvidResponse.encode({ svids }).finish();
  }

  #forDelegate(): Uint8Array {
    const x509Svids = this.#svids.map(({ spiffeId, chain, key }) => {
      const [, trustDomain, path] = /^spiffe:\/\/([^/]+)(.*)$/.exec(spiffeId)!;
      return { x509Svid: { certChain: [...chain], id: { trustDomain: trustDomain!, path: path! } }, x509SvidKey: key };
    });
    return spire.SubscribeToX509SvidsResponse.encode({ x509Svids }).finish();
  }

  #bundles(): Uint8Array {
    const caCertificates = { [`spiffe://${this.#trustDomain}`]: derOf(this.#authority.root) };
    return spire.SubscribeToX509BundlesResponse.encode({ caCertificates }).finish();
  }
}
