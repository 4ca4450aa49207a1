// Loaded with --import on Node versions older than 22, see fs.mjs.
import { register } from 'node:module';

register('./hooks.mjs', import.meta.url);
