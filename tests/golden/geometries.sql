-- Spatial types: the SRID, and WKB with the axes as they are stored.
CREATE TABLE shapes (id INT PRIMARY KEY, p POINT NOT NULL, g GEOMETRY, poly POLYGON);
INSERT INTO shapes VALUES
    (1, ST_GeomFromText('POINT(1 2)'), ST_GeomFromText('LINESTRING(0 0,1 -1)', 3857), ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')),
    (2, ST_GeomFromText('POINT(10 20)', 4326), ST_GeomFromText('GEOMETRYCOLLECTION EMPTY'), NULL);
