"""The architecture generator (EAS, section 3.2) and the accuracy predictor that picks among its samples."""
