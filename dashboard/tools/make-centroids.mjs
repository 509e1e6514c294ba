// Prints the rows of engine/contract/src/geo.rs: a label point per ISO 3166-1 alpha-2 code.
//
// The point is the centroid of the country's largest piece of land, or, where that lies outside it
// (a crescent), the point farthest from its coast. Source: Natural Earth 1:10m (public domain) from
// the npm package world-atlas. Territories that it draws as part of their state are added by hand.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import countryNames from "i18n-iso-countries";
import polylabel from "polylabel";
import { feature } from "topojson-client";

const BY_HAND = {
  BQ: [12.19, -68.26], BV: [-54.42, 3.36], CC: [-12.16, 96.87], CX: [-10.49, 105.63],
  GF: [3.93, -53.09], GP: [16.2, -61.5], MQ: [14.65, -61.01], RE: [-21.12, 55.53],
  SJ: [78.72, 16.35], TK: [-9.17, -171.84], YT: [-12.83, 45.15],
};
const NOT_ASSIGNED = new Set(["XK"]);

const require = createRequire(import.meta.url);
const world = JSON.parse(readFileSync(require.resolve("world-atlas/countries-10m.json")));
const shapes = feature(world, world.objects.countries).features;

/** Area and centroid of a ring, longitudes shrunk by the latitude so that the north does not win. */
const measure = (ring) => {
  const shrink = Math.cos((ring[0][1] * Math.PI) / 180);
  let [twice, cx, cy] = [0, 0, 0];
  for (let i = 0; i < ring.length - 1; i++) {
    const [[x0, y0], [x1, y1]] = [ring[i], ring[i + 1]];
    const cross = x0 * y1 - x1 * y0;
    twice += cross;
    cx += (x0 + x1) * cross;
    cy += (y0 + y1) * cross;
  }
  return { area: Math.abs(twice / 2) * shrink, centre: [cx / (3 * twice), cy / (3 * twice)] };
};
const holds = (ring, [x, y]) => {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [[xi, yi], [xj, yj]] = [ring[i], ring[j]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
};

const points = new Map(Object.entries(BY_HAND));
for (const [numeric, alpha2] of Object.entries(countryNames.getNumericCodes())) {
  if (NOT_ASSIGNED.has(alpha2)) continue;
  const polygons = shapes
    .filter((shape) => shape.id === numeric)
    .flatMap(({ geometry }) => (geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates));
  if (polygons.length === 0) {
    if (!points.has(alpha2)) throw new Error(`no shape and no point by hand for ${alpha2}`);
    continue;
  }
  const largest = polygons.reduce((a, b) => (measure(b[0]).area > measure(a[0]).area ? b : a));
  let [lng, lat] = measure(largest[0]).centre;
  if (!holds(largest[0], [lng, lat])) [lng, lat] = polylabel(largest, 0.01);
  points.set(alpha2, [lat, lng]);
}

const cells = [...points]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([code, [lat, lng]]) => `(*b"${code}", ${lat.toFixed(2)}, ${lng.toFixed(2)}),`);
for (let i = 0; i < cells.length; i += 3) console.log(`    ${cells.slice(i, i + 3).join(" ")}`);
console.error(`${cells.length} codes`);
