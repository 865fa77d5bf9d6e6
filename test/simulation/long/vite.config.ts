// The long run as one file of plain code. SIM_BUG names the planted bug that the engine gets.
import { defineConfig } from 'vite';
import { plantedBug } from '../planted/plugin.js';

const bug = process.env['SIM_BUG'] ?? '';

export default defineConfig({
  plugins: bug === '' ? [] : [plantedBug(bug)],
  logLevel: 'warn',
  build: {
    ssr: 'test/simulation/long/worker.ts',
    outDir: process.env['SIM_BUNDLE'] ?? 'dist',
    target: 'node20',
    minify: false,
    sourcemap: true,
  },
});
