import { MeshError } from "./errors.ts";
import type { Clock } from "./host.ts";
import { jsonSlices } from "./json-slices.ts";
import { printable } from "./printable.ts";

/** One read-only view of the live state, under `/debug/` and as a resource of the xDS type `istio.io/debug`. */
export interface DebugPage {
  /** The last part of its path, as `syncz`. */
  readonly name: string;
  readonly help: string;
  /**
   * Any JSON value; iterables in it are written as arrays, element by element, while the mesh goes on changing.
   * @throws MeshError `invalid` for a query that it cannot answer, `absent` for one about nothing.
   */
  render(query: URLSearchParams): unknown;
}

/** Upstream's pages about what only Envoy has. */
const ENVOY_PAGES = ["ecdsz", "edsz", "endpointz", "inject", "instancesz", "ndsz", "sidecarz", "telemetryz"];

export class DebugPages {
  readonly #pages: ReadonlyMap<string, DebugPage>;

  constructor(pages: readonly DebugPage[]) {
    const list: DebugPage = { name: "list", help: "These pages, as JSON", render: () => this.list() };
    this.#pages = new Map([list, ...pages].map((page) => [page.name, page]));
  }

  /** By name. */
  list(): readonly { readonly name: string; readonly href: string; readonly help: string }[] {
    return [...this.#pages.values()]
      .map(({ name, help }) => ({ name, href: `/debug/${name}`, help }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The page as JSON, made as it is taken. @throws MeshError `absent` if there is no such page, or what it throws. */
  slices(name: string, query: URLSearchParams): Iterable<string> {
    const page = this.#pages.get(name);
    if (page !== undefined) return jsonSlices(page.render(query));
    const shown = printable(name, 80);
    const why = ENVOY_PAGES.includes(name)
      ? `${shown} is not served; /debug/gatewayz shows what the Envoys of Gateways are to have`
      : `there is no debug page ${shown}`;
    throw new MeshError("absent", `${why}; /debug/list names those that there are`);
  }

  /**
   * A page whole, as xDS carries it, with its query if it has one; made in slices, so that clients are served meanwhile.
   * @throws MeshError as `slices` does.
   */
  async bytes(clock: Clock, page: string): Promise<Uint8Array> {
    const [name = "", query = ""] = page.split("?", 2);
    const slices: string[] = [];
    for (const slice of this.slices(name, new URLSearchParams(query))) {
      slices.push(slice);
      await new Promise<void>((resolve) => clock.after(0, resolve));
    }
    return Buffer.from(slices.join(""));
  }
}
